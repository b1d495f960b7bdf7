"""Events of requests that go through io_uring: made of the calls that do the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from etracee.catalog.entries import Flow, OperationEntry, PlaceEntry, TracepointEntry
from etracee.catalog.model import (
    Argument,
    Described,
    Details,
    Elapsed,
    EventType,
    Field,
    FileOf,
    InRequest,
    Operation,
    Origin,
    PartOf,
    Reading,
    SocketOf,
    Source,
)
from etracee.types.path import Path

Places = Mapping[str, InRequest]
MakeField = Callable[[str], Field]
"""Returns a field of data/fields.yaml by its name; where it lies is told afterwards."""

_HELD = ("io_kiocb.cqe.fd",)
"""Where the descriptor lies of the file that a request is on: at its end, io_kiocb.file."""
_WHEN = {"fd": "not sqe_flags has IOSQE_FIXED_FILE"}
"""Of a fixed file, the descriptor is an index of the ring's own table."""


def read_requests(
    data: Mapping[str, Any], calls: Mapping[str, EventType], make_field: MakeField
) -> Iterator[EventType]:
    """Yield the events of data/io_uring.yaml; `calls` are those that they are like."""
    hooks = {function: choices[0] for function, choices in read_hooks(data).items()}
    common = {name: _places(written) for name, written in data["common"].items()}
    opcodes = make_field("opcode").type
    for name, written in data["operations"].items():
        entry, call = OperationEntry(**written), calls[written["like"]]
        own = {field: _places(place) for field, place in written["fields"].items()}
        slot = {"file_slot": _slot(entry.slot)} if entry.slot else {}
        added = {**common, **slot}
        numbers = tuple(int(opcodes.parse(opcode)) for opcode in entry.opcodes)
        operation = Operation(numbers, entry.slot, hooks, {**own, **added})
        details = Details(partial(_described, entry, call, own, added, make_field))
        yield EventType(
            name,
            entry.doc,
            Flow.REQUEST,
            None,
            details,
            call.families,
            "",
            operation=operation,
        )


def _described(
    entry: OperationEntry, call: EventType, own: Places, added: Places, make_field: MakeField
) -> Described:
    fields = dict(_fields(call, own))
    fields |= {name: _placed(make_field(name), place) for name, place in added.items()}
    return fields, entry.default or (*(n for n in call.default if n in fields), "opcode")


def read_hooks(data: Mapping[str, Any]) -> Mapping[str, tuple[TracepointEntry, ...]]:
    """Return, by function, the tracepoints that it may be for, the newest kernels' first."""
    return {
        function: tuple(TracepointEntry(**entry) for entry in entries)
        for function, entries in data["tracepoints"].items()
    }


def _places(written: Any) -> InRequest:
    entries = written if isinstance(written, list) else [written]
    return InRequest(tuple(PlaceEntry(**entry) for entry in entries))


def _slot(member: str) -> InRequest:
    return InRequest((PlaceEntry(at=(member,), entry="file_index"),))


def _fields(call: EventType, own: Places) -> Iterator[tuple[str, Field]]:
    """Yield the call's fields as far as a request has them."""
    by_index = {
        field.origin.index: own[field.name]
        for field in call.fields.values()
        if isinstance(field.origin, Argument) and field.name in own
    }
    kept: set[str] = set()
    for name, field in call.fields.items():
        origin = _origin(field, own, by_index)
        if origin is None or (isinstance(origin, PartOf) and origin.whole not in kept):
            continue
        kept.add(name)
        yield name, _placed(field, origin)


def _origin(field: Field, own: Places, by_index: Mapping[int, InRequest]) -> Origin | None:
    """Return where a request has what the call has, None where it does not."""
    origin = field.origin
    if isinstance(origin, Argument):
        return own.get(field.name)
    if isinstance(origin, SocketOf):
        return origin if origin.index is None or _is_held(by_index, origin.index) else None
    if not isinstance(origin, FileOf):
        return None if isinstance(origin, Reading) else origin
    if not isinstance(field.type, Path):
        return _file(origin, by_index)
    told = (origin.name, origin.at, origin.fd)
    if not all(index is None or index in by_index for index in told):
        return None
    name, at, fd = (by_index[index] if isinstance(index, int) else None for index in told)
    return FileOf(name, at, fd, origin.result)


def _file(origin: FileOf, by_index: Mapping[int, InRequest]) -> FileOf | None:
    """Return the file that a request holds, or is to close; None of other descriptors."""
    assert isinstance(origin.fd, int)
    held = _is_held(by_index, origin.fd)
    if not held and not origin.at_entry:
        return None
    return replace(origin, fd=by_index[origin.fd], held=held)


def _is_held(by_index: Mapping[int, InRequest], index: int) -> bool:
    """Say whether the request is on the descriptor that is the call's argument `index`."""
    return index in by_index and by_index[index].places[0].at == _HELD


def _placed(field: Field, origin: Origin) -> Field:
    source, when = field.source, _WHEN.get(field.name, field.when)
    if isinstance(origin, InRequest):
        when = origin.places[0].when or when
        in_kernel = origin.places[0].memory == "kernel"
        source = Source.REQUEST if in_kernel else Source.REQUEST_OR_USER
    elif field.source is Source.RESULT:
        source = Source.COMPLETION
    elif isinstance(origin, Elapsed):
        source = Source.SUBMISSION
    elif isinstance(origin, SocketOf) or (isinstance(origin, FileOf) and origin.held):
        source = Source.COMPLETED
    elif isinstance(origin, FileOf) and origin.at_entry:
        source = Source.SUBMITTED
    return replace(field, origin=origin, source=source, when=when)
