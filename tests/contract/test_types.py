"""What every field type keeps to, with each set of parameters that the catalog gives it."""

from __future__ import annotations

import importlib
import pkgutil
import struct
from typing import Any

import pytest

from etracee import types
from etracee.catalog import load_catalog
from etracee.catalog.load import architectures
from etracee.catalog.model import Absent, Field, PartOf
from etracee.operators import all_operators
from etracee.types import Kind, all_types

EVENTS = [event for arch in architectures() for event in load_catalog(arch).events.values()]
FIELDS: dict[str, Field] = {
    f"{name}-{arch}-{event.name}": field
    for arch in architectures()
    for event in load_catalog(arch).events.values()
    for name, field in {**load_catalog(arch).context, **event.fields}.items()
}
DISTINCT = list({(type(f.type), f.type.doc, f.name): f for f in FIELDS.values()}.values())

each_field = pytest.mark.parametrize("field", DISTINCT, ids=lambda field: field.name)


def _shower(field: Field) -> Any:
    source = field.type.shower()
    if source is None:
        return lambda value: value
    names = [info.name for info in pkgutil.iter_modules(types.__path__)]
    modules = {name: importlib.import_module(f"etracee.types.{name}") for name in names}
    return eval(source, modules)


def _edges(field: Field) -> list[int]:
    if field.kind is Kind.ADDRESS:
        return [0, 1, 0xFFFF_0A00_0001, (1 << 128) - 1, 0xFE80 << 112]
    bits = field.type.storage.size * 8
    signed = field.type.storage.code.islower()
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return sorted({low, low + 1, 0, 1, 2, 3, 9, 10, 11, 0o644, high - 1, high})


def test_every_type_is_used_by_the_catalog() -> None:
    """Then the tests of this folder, and those of C against Python, see it."""
    assert {type(field.type) for field in FIELDS.values()} == set(all_types().values())


@each_field
def test_storage_is_one_format_of_struct(field: Field) -> None:
    storage = field.type.storage
    assert struct.calcsize(f"<{storage.code}") == storage.size
    if not storage.array:
        signed = {"s": True, "u": False}[storage.c_type[0]]
        assert storage.code.islower() == signed
        assert int(storage.c_type[1:]) == storage.size * 8


@each_field
def test_is_documented(field: Field) -> None:
    assert field.type.doc
    assert type(field.type).__doc__
    assert field.source.value


@pytest.mark.parametrize(
    "field",
    [f for f in DISTINCT if f.kind in (Kind.NUMBER, Kind.FLAGS, Kind.ADDRESS)],
    ids=lambda field: field.name,
)
def test_what_is_shown_reads_back(field: Field) -> None:
    show = _shower(field)
    for value in _edges(field):
        shown = show(value)
        assert isinstance(shown, int | str)
        assert field.type.read_shown(shown) == value


@each_field
def test_wrong_constants_are_refused(field: Field) -> None:
    if field.kind in (Kind.TEXT, Kind.TEXTS):
        with pytest.raises(ValueError, match="NUL"):
            field.type.parse("a\0b")
        assert field.type.parse("\udcff\u00e9") == b"\xff\xc3\xa9"
        return
    for text in ("", "no such value", "'", "1; DROP", "--1", "0x"):
        with pytest.raises(ValueError, match=r"\S"):
            field.type.parse(text)


@each_field
def test_what_is_not_printed_is_refused(field: Field) -> None:
    for shown in (None, 1.5, {"a": 1}):
        with pytest.raises(ValueError, match=r"\S"):
            field.type.read_shown(shown)


@each_field
def test_can_be_compared_or_stands_alone(field: Field) -> None:
    fitting = [op for op in all_operators().values() if field.kind in op.kinds]
    assert fitting or field.kind is Kind.TRUTH


@each_field
def test_parts_are_fields_of_the_same_event(field: Field) -> None:
    named = [event.fields for event in EVENTS if field.name in event.fields]
    holders = [fields for fields in named if not isinstance(fields[field.name].origin, Absent)]
    assert holders or not field.type.parts
    for name, part in field.type.parts.items():
        assert part.doc.endswith(".")
        for fields in holders:
            origin = fields[name].origin
            assert isinstance(origin, PartOf)
            assert origin.whole == field.name
