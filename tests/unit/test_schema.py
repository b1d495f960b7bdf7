"""The JSON Schemas under docs/schema are those that the models make, and they mean the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from etracee.schema import SCHEMAS, schema_text

DOCS = Path(__file__).parents[2] / "docs" / "schema"


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_drift(name: str) -> None:
    written = (DOCS / f"{name}.json").read_text()
    assert written == schema_text(name), f"run: etracee schema {name} > docs/schema/{name}.json"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x", "evnts": {}},
        {"name": "x", "events": {"opnat": {}}},
        {"name": "x", "events": {"openat": {"filer": "uid = 1"}}},
        {"name": "x", "context": ["pidd"]},
        {"name": "x y"},
        {"events": {}},
    ],
)
def test_what_validate_refuses_the_schema_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, _schema("profile"))


def _schema(name: str) -> Any:
    return json.loads((DOCS / f"{name}.json").read_text())
