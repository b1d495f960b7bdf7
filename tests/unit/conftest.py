"""What several modules of tests begin with: rules to test, hosts to set up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from setup_host import DEBIAN, OPENEULER, Host
from tested_rules import Test, Told

from etracee.cli import main


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Test:
    """Return the function that tests a file with these rules and keys."""

    def run(*rules: dict[str, Any], options: tuple[str, ...] = (), **keys: Any) -> Told:
        file = tmp_path / "rules.yaml"
        file.write_text(json.dumps({"rules": rules, **keys}))
        with pytest.raises(SystemExit) as ended:
            main(["test", *options, str(file)])
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Told(ended.value.code, told.out, told.err)

    return run


@pytest.fixture
def debian(tmp_path: Path) -> Host:
    return Host(tmp_path, DEBIAN, "apt-get")


@pytest.fixture
def openeuler(tmp_path: Path) -> Host:
    return Host(tmp_path, OPENEULER, "dnf")
