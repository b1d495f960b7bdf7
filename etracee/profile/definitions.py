"""Lists and macros: what `$name` means in the expressions of profiles and rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from etracee.problems import Problem
from etracee.profile.written import Expression, Located, Name, Text, Written
from etracee.source import Document

Word = Annotated[Text, WithJsonSchema({"type": ["string", "number", "boolean"], "maxLength": 4096})]
"""An element of a list: whatever it looks like to YAML, it is taken as it is written."""


class WrittenList(Written):
    """A list that may replace one of the same name."""

    values: list[Word]
    override: Annotated[bool, Field(description="Replace the list or macro of this name.")] = False


class WrittenMacro(Written):
    """A macro that may replace one of the same name."""

    condition: Expression
    override: Annotated[bool, Field(description="Replace the list or macro of this name.")] = False


def _as_list(value: object) -> object:
    return value if isinstance(value, dict) else {"values": value}


def _as_macro(value: object) -> object:
    return value if isinstance(value, dict) else {"condition": value}


Lists = Annotated[
    dict[
        Name,
        Annotated[
            WrittenList, BeforeValidator(_as_list, json_schema_input_type=list[Word] | WrittenList)
        ],
    ],
    Field(description="Named lists, for $NAME in expressions."),
]
Macros = Annotated[
    dict[
        Name,
        Annotated[
            WrittenMacro,
            BeforeValidator(_as_macro, json_schema_input_type=Expression | WrittenMacro),
        ],
    ],
    Field(description="Named expressions, for $NAME in expressions."),
]


@dataclass(frozen=True)
class NamedList:
    """A list, and where its name was written."""

    name: Located
    words: tuple[str, ...]
    override: bool = False


@dataclass(frozen=True)
class Macro:
    """An expression, and where its name was written."""

    name: Located
    condition: Located
    override: bool = False


Definition = NamedList | Macro


def definitions_of(
    document: Document, lists: Mapping[str, WrittenList], macros: Mapping[str, WrittenMacro]
) -> list[Definition]:
    """Return the lists and macros of a file."""
    found: list[Definition] = [
        NamedList(Located(name, document, ("lists", name)), tuple(entry.values), entry.override)
        for name, entry in lists.items()
    ]
    for name, entry in macros.items():
        path = ("macros", name)
        inside = (*path, "condition")
        condition = Located(
            entry.condition, document, inside if inside in document.scalars else path
        )
        found.append(Macro(Located(name, document, path), condition, entry.override))
    return found


def merge_definitions(
    definitions: Iterable[Definition],
) -> tuple[dict[str, Definition], list[Problem]]:
    """Return all by name, the last one of a name counting, and what is wrong with their names.

    Lists and macros share one name space, over all files.
    """
    merged: dict[str, Definition] = {}
    problems = []
    for definition in definitions:
        name = definition.name
        before = merged.get(name.text)
        if before is not None and before != definition and not definition.override:
            place = before.name.key_place()
            message = f"the name {name.text!r} is taken{f', by {place}' if place else ''}"
            hint = "choose another, or write `override: true` beside it"
            problems.append(Problem(name.key_place(), message, hint))
        merged[name.text] = definition
    return merged, problems
