"""The catalog's own way of reading YAML, against PyYAML's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from etracee.catalog.read import DATA, read_data


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, with the octal numbers of YAML 1.2."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+$"), "0")
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value, 0))


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.yaml")), ids=lambda path: path.stem)
def test_files_mean_what_yaml_says(path: Path) -> None:
    """The text of the representations tells 1 from true, too."""
    expected = yaml.load(path.read_bytes(), Loader=_Loader)
    assert repr(read_data(path)) == repr(expected)
