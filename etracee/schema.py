"""JSON Schemas of the file formats, for editors: generated from the models and the catalog."""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec

from etracee.catalog import load_catalog
from etracee.catalog.load import architectures
from etracee.explain.model import Explanation
from etracee.profile.families import families_of
from etracee.profile.model import WrittenProfile
from etracee.rules.written import WrittenRules


def _event_names() -> list[str]:
    """Return the names of the events of all architectures."""
    return sorted({name for arch in architectures() for name in load_catalog(arch).events})


def profile_schema() -> dict[str, Any]:
    """Return the schema of profiles, which completes events, context fields and options."""
    schema = WrittenProfile.model_json_schema()
    events, context = schema["properties"]["events"], schema["properties"]["context"]
    families = sorted(f"${family}" for family in families_of(load_catalog()))
    events["propertyNames"] = {"enum": [*_event_names(), *families]}
    names = {"enum": list(load_catalog().context)}
    context["anyOf"] = [{**context["anyOf"][0], "items": names}, context["anyOf"][1]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def rules_schema() -> dict[str, Any]:
    """Return the schema of rule files, which completes events and families."""
    schema = WrittenRules.model_json_schema()
    catalog = load_catalog()
    names = [*_event_names(), *(f"${name}" for name in sorted(catalog.families))]
    schema["$defs"]["WrittenRule"]["properties"]["events"]["items"] = {"enum": names}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def explanation_schema() -> dict[str, Any]:
    """Return the schema of what `etracee explain --format json` prints."""
    schema = msgspec.json.schema(Explanation)
    for definition in schema["$defs"].values():
        definition["description"] = inspect.cleandoc(definition["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


SCHEMAS = {
    "explanation": explanation_schema,
    "profile": profile_schema,
    "rules": rules_schema,
}
"""The formats, each with the function that makes its schema."""


def schema_text(name: str) -> str:
    """Return the text of a schema, as it lies under docs/schema."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
