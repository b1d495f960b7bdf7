"""Records against what the generated decoder shows of them: one layout, two readers."""

from __future__ import annotations

import contextlib
import tempfile
from base64 import b64decode
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hostc
import msgspec
import pytest
from expressions import Constants, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from etracee.catalog import Field, load_catalog
from etracee.catalog.model import Argument, Derivation, LookUp, PartOf, ReturnValue, Walk
from etracee.clock import Clock
from etracee.decoding import import_decoder
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.plan import EventPlan, Plan
from etracee.render import render_program
from etracee.types import Kind

CATALOG = load_catalog("x86_64")
CLOCK = Clock()
LOOKING_UP = ("execve", "openat", "fork", "exit")


class Whole:
    """The plan that watches every field of every event, and its decoder.

    No dataclass: what hypothesis prints of a failure would hold the whole catalog.
    """

    def __init__(self, plan: Plan, module: ModuleType) -> None:
        self.plan, self.module = plan, module

    @property
    def reader(self) -> hostc.BothReaders:
        return hostc.BothReaders(self.module, CLOCK)


@contextlib.contextmanager
def _compiled(context: Iterable[str], names: Iterable[str]) -> Iterator[Whole]:
    profile = {
        "context": list(context),
        "events": {
            name: {"fields": fields} if fields else {}
            for name in names
            for fields in [[f for f in CATALOG.events[name].fields if f != "ret"]]
        },
    }
    with tempfile.TemporaryDirectory() as directory:
        plan = hostc.plan_of(Path(directory), profile)
        path = Path(directory) / "decoder.py"
        path.write_text(render_program(plan).python)
        yield Whole(plan, import_decoder(path))


@pytest.fixture(scope="module")
def whole() -> Iterator[Whole]:
    """Watch every field that lines can be written of: what is in records."""
    context = CATALOG.context.values()
    found = [field.name for field in context if not isinstance(field.origin, LookUp)]
    with _compiled(found, CATALOG.events) as whole:
        yield whole


@pytest.fixture(scope="module")
def looking_up() -> Iterator[Whole]:
    """Watch all of some events, what is looked up too."""
    with _compiled(CATALOG.context, LOOKING_UP) as whole:
        yield whole


def _fields(event: EventPlan) -> dict[str, Any]:
    return {**CATALOG.context, **event.type.fields}


def _decode(whole: Whole, record: bytes) -> dict[str, Any]:
    ((event, _),) = whole.reader.decode(record)
    return event.flat()


@pytest.mark.parametrize("name", sorted(CATALOG.events))
@settings(max_examples=15)
@given(st.data())
def test_every_value_comes_back(whole: Whole, name: str, data: st.DataObject) -> None:
    _check_values(whole, name, data)


@pytest.mark.parametrize("name", LOOKING_UP)
@settings(max_examples=15)
@given(st.data())
def test_beside_what_is_looked_up(looking_up: Whole, name: str, data: st.DataObject) -> None:
    _check_values(looking_up, name, data)


def _check_values(whole: Whole, name: str, data: st.DataObject) -> None:
    event = next(event for event in whole.plan.events if event.name == name)
    fields = _fields(event)
    sample = data.draw(samples(event.layout, fields, Constants()))
    time = data.draw(st.integers(0, (1 << 62) - 1))
    record = hostc.pack(event.layout, sample.packed, sample.cut, b"\xa5", time)
    shown = _decode(whole, record)
    assert shown["timestamp"] == str(time + CLOCK.offset)
    assert shown["type"] == name
    assert shown["syscall_id"] == event.type.number
    assert tuple(shown["truncated"] or ()) == tuple(
        slot.name for slot in event.layout.variable if slot.name in sample.cut
    )
    for key, field in fields.items():
        if key in sample.values and key in shown:
            value = sample.values[key] if _means_something(event, field, sample.values) else None
            _compare(shown, key, field.kind, value)


def _means_something(event: EventPlan, field: Field, values: dict[str, Any]) -> bool:
    """Say whether the field's own condition is fulfilled: an open has a mode with O_CREAT only."""
    if field.when is None:
        return True
    scope = scope_of([event.type], {}, {})
    condition = check(field.when, scope, Report(lambda _: None))[event.name]
    return compile_tree(condition)(values, ())


def _compare(shown: dict[str, Any], key: str, kind: Kind, value: Any) -> None:
    """Compare what is printed with the value: exactly for texts, in meaning for others."""
    if value is None:
        assert shown[key] is None
    elif kind is Kind.TEXT:
        assert _bytes(shown, key, shown[key]) == value
    elif kind is Kind.TEXTS:
        raw = _raw(shown, key)
        texts = [b64decode(r) for r in raw] if raw else [t.encode() for t in shown[key]]
        assert texts == value
    elif kind is not Kind.OPAQUE:
        field_type = next(
            {**CATALOG.context, **event.fields}[key].type
            for event in CATALOG.events.values()
            if key in {**CATALOG.context, **event.fields} and event.name == shown["type"]
        )
        assert field_type.read_shown(shown[key]) == value


def _raw(shown: dict[str, Any], key: str) -> Any:
    """Return what `raw` has of a field, under each part of its name; None where it has nothing."""
    found = shown["raw"] or {}
    for part in key.split("."):
        found = found.get(part) if found else None
    return found


def _bytes(shown: dict[str, Any], key: str, text: str) -> bytes:
    raw = _raw(shown, key)
    return b64decode(raw) if raw is not None else text.encode()


@given(st.binary(max_size=200).filter(lambda raw: b"\0" not in raw))
def test_every_byte_of_a_name_comes_back(whole: Whole, raw: bytes) -> None:
    event = next(event for event in whole.plan.events if event.name == "openat")
    values = hostc.zeros(event.layout)
    record = hostc.pack(event.layout, {**values, "filename": raw, "comm": raw[:15]})
    shown = _decode(whole, record)
    assert _bytes(shown, "filename", shown["filename"]) == raw
    assert _bytes(shown, "comm", shown["comm"]) == raw[:15]
    line = msgspec.json.encode(shown)
    assert b"\n" not in line
    assert line.isascii() or line.decode("utf-8")


def test_all_origins_of_values_are_met(whole: Whole) -> None:
    """The properties above see every way a value can come about."""
    origins = {type(f.origin) for e in whole.plan.events for f in (*e.shown, *e.captures)}
    assert {Argument, Derivation, PartOf, ReturnValue, Walk} <= origins


@pytest.mark.parametrize(
    ("event", "flags", "writes"),
    [("open", 0, False), ("open", 1, True), ("openat", 2, True), ("openat", 0o100, False)],
)
def test_derived_boolean(whole: Whole, event: str, flags: int, writes: bool) -> None:
    layout = next(e for e in whole.plan.events if e.name == event).layout
    values = hostc.zeros(layout)
    values |= {"filename": b"/x", "flags": flags}
    assert _decode(whole, hostc.pack(layout, values))["writes"] is writes


def test_records_come_in_the_order_of_their_time(whole: Whole) -> None:
    layout = next(e for e in whole.plan.events if e.name == "setuid").layout
    values = hostc.zeros(layout)
    records = [hostc.pack(layout, values, time=time) for time in (30, 10, 20)]
    events = whole.reader.read(*records).items
    stamps = [int(getattr(event, "timestamp")) for event in events]  # noqa: B009
    assert stamps == [CLOCK.offset + time for time in (10, 20, 30)]
