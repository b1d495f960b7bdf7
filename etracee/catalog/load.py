"""Read the catalog's YAML and resolve it for one architecture."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from etracee.catalog.compat import add_abi_calls
from etracee.catalog.entries import (
    FeedEntry,
    Flow,
    LengthEntry,
    LifecycleEntry,
    PathEntry,
    Registers,
    SyscallEntry,
)
from etracee.catalog.families import find_families, find_siblings, read_families
from etracee.catalog.fields import FieldReader, WrittenField
from etracee.catalog.model import (
    Absent,
    Argument,
    Captured,
    Catalog,
    Derivation,
    Described,
    Details,
    Elapsed,
    EventType,
    Feed,
    Field,
    FileOf,
    Length,
    LookUp,
    Origin,
    PartOf,
    Passed,
    Reading,
    ReturnValue,
    SocketOf,
    Source,
    Walk,
)
from etracee.catalog.read import DATA, REQUESTS, read_data
from etracee.catalog.requests import read_requests
from etracee.problems import host_lacks
from etracee.types import Kind
from etracee.types.number import Descriptor

DURATION = "duration_ns"
"""The field of every call that returns."""


@functools.cache
def load_catalog(arch: str = platform.machine()) -> Catalog:
    """Return the catalog for `arch`, named as uname(2) does: x86_64, aarch64.

    A call that the architecture has not is left out. ProblemsError for an unknown architecture.
    """
    if arch not in architectures():
        known = ", ".join(architectures())
        raise host_lacks(f"etracee does not know the architecture {arch}", f"it knows {known}")
    reader = _Reader(arch)
    events = {event.name: event for event in reader.events()}
    requests = read_requests(read_data(REQUESTS), events, reader.named)
    events |= {event.name: event for event in requests}
    registers = Registers(**read_data(DATA / "arch.yaml")[arch])
    told = read_data(DATA / "compat.yaml")
    compat = add_abi_calls(events.values(), reader.calls, registers.compat.abi, told)
    events = {event.name: event for event in compat}
    untold = read_data(REQUESTS)["untold"]
    families, written = find_families(events.values()), read_families()
    return Catalog(
        arch=arch,
        registers=registers,
        events=events,
        context=reader.context,
        families=families,
        family_docs={name: entry.doc for name, entry in written.items()},
        siblings=tuple(find_siblings(written, families)),
        elsewhere=frozenset(reader.calls.keys() - events.keys()),
        unseen={},
        untold={call: op for call, op in untold.items() if call in events},
    )


def architectures() -> list[str]:
    """Return the architectures of which the catalog knows calls and registers."""
    return list(read_data(DATA / "arch.yaml"))


class _Reader:
    """Reads the files under DATA and ties names to what they name."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.fields = FieldReader(arch)
        files = map(read_data, _call_files())
        self.calls = {name: SyscallEntry(**data) for file in files for name, data in file.items()}
        """The calls of all architectures."""
        context = read_data(DATA / "context.yaml").items()
        self.context = {name: _captured(self.fields.make(name, entry)) for name, entry in context}
        for name, entry in read_data(DATA / "enrich.yaml").items():
            self.context[name] = self._looked_up(self.fields.make(name, entry))

    def named(self, name: str) -> Field:
        """Return the field of that name, as one of the kernel's."""
        return _captured(self.fields.read(name))

    def events(self) -> Iterator[EventType]:
        for name, entry in self.calls.items():
            if self.arch in entry.number:
                yield self._syscall(name, entry)
        for name, data in read_data(DATA / "lifecycle.yaml").items():
            yield self._lifecycle(name, LifecycleEntry(**data))

    def _syscall(self, name: str, entry: SyscallEntry) -> EventType:
        number = entry.number[self.arch]
        details = Details(partial(self._described, entry))
        tracepoint = entry.tracepoint or name
        return EventType(name, entry.doc, entry.flow, number, details, entry.families, tracepoint)

    def _described(self, entry: SyscallEntry) -> Described:
        fields = dict(self._with_parts(self._arguments(entry)))
        fields |= self._with_parts(self._reading(item, fields) for item in entry.readings)
        fields |= self._with_parts(
            self._path(path, told, fields) for path, told in entry.paths.items()
        )
        fields |= {field.name: field for field in self._descriptors(entry, fields)}
        fields |= self._with_parts(self._sockets(entry, fields))
        for derived, expression in entry.derived.items():
            fields[derived] = self._derived(derived, expression)
        fields |= self._with_parts(self._results(entry))
        return fields, entry.default or tuple(_shown_by_default(fields))

    def _lifecycle(self, name: str, entry: LifecycleEntry) -> EventType:
        captured = (_captured(self.fields.read(item)) for item in entry.fields)
        fields = dict(self._with_parts(captured))
        feeds = self._feed(entry.feeds, fields) if entry.feeds else None
        details = Details(lambda: (fields, entry.default))
        return EventType(name, entry.doc, entry.flow, None, details, (), entry.tracepoint, feeds)

    def _feed(self, entry: FeedEntry, fields: Mapping[str, Field]) -> Feed:
        known = {**self.context, **fields}
        return Feed(entry.method, tuple(known[name] for name in entry.given))

    def _arguments(self, call: SyscallEntry) -> Iterator[Field]:
        written = call.arguments
        items = written[self.arch] if isinstance(written, Mapping) else written
        read = [self.fields.read(item) for item in items]
        widths = {field.name: (n, field.type.storage.c_type) for n, field in enumerate(read)}
        for index, field in enumerate(read):
            entry = field.entry
            length = _length(entry.length, widths)
            origin = Argument(
                index, length, entry.returned, kernel_name=entry.argument or field.name
            )
            yield _placed(field, _argument_source(field, call.flow), origin)

    def _reading(self, item: Mapping[str, Any], fields: Mapping[str, Field]) -> Field:
        plain = {key: value for key, value in item.items() if key not in ("of", "at")}
        read = self.fields.read(plain)
        arguments = {
            name: (field.origin, field.type.storage.c_type)
            for name, field in fields.items()
            if isinstance(field.origin, Argument)
        }
        other, _ = arguments[item["of"]]
        widths = {name: (origin.index, c) for name, (origin, c) in arguments.items()}
        length = _length(read.entry.length, widths)
        origin = Reading(other.index, length, read.entry.returned, item.get("at"))
        return _placed(read, _argument_source(read, Flow.SYSCALL), origin)

    def _path(self, name: str, told: PathEntry, fields: Mapping[str, Field]) -> Field:
        at, named, fd = (_index(fields, which) for which in (told.at, told.name, told.fd))
        origin = FileOf(named, at, fd, told.result)
        source = Source.KERNEL if named is None else Source.KERNEL_OR_USER
        return _placed(self.fields.read(name), source, origin)

    def _descriptors(self, entry: SyscallEntry, fields: Mapping[str, Field]) -> Iterator[Field]:
        """Yield the files behind the descriptors that a call is given, each as NAME_path."""
        told = self.fields.read("fd_path")
        for name, field in fields.items():
            if isinstance(field.type, Descriptor) and name not in entry.several:
                doc = told.entry.doc.replace("fd ", f"{name} ", 1)
                at_entry = name in entry.closes
                origin = FileOf(None, None, _index(fields, name), None, at_entry)
                source = Source.KERNEL_AT_ENTRY if at_entry else Source.KERNEL
                yield Field(f"{name}_path", told.type, doc, source, origin)

    def _sockets(self, entry: SyscallEntry, fields: Mapping[str, Field]) -> Iterator[Field]:
        if entry.socket is not None:
            origin = SocketOf(None if entry.socket == "ret" else _index(fields, entry.socket))
            yield _placed(self.fields.read("endpoints"), Source.KERNEL, origin)

    def _with_parts(self, fields: Iterator[Field]) -> Iterator[tuple[str, Field]]:
        for field in fields:
            yield field.name, field
            parts = {} if isinstance(field.origin, Absent) else field.type.parts
            for name, part in parts.items():
                origin = PartOf(field.name, part)
                yield name, Field(name, part.type, part.doc, field.source, origin, field.when)

    def _derived(self, name: str, expression: str) -> Field:
        return _placed(self.fields.read(name), Source.DERIVED, Derivation(expression))

    def _results(self, call: SyscallEntry) -> Iterator[Field]:
        """Yield what is known when a call returns; its result is missing where it does not."""
        origin = Absent() if call.flow is Flow.ENTRY else ReturnValue()
        ret = self.fields.read({"name": "ret", **call.ret})
        others = ((self.fields.read(name), when) for name, when in call.returns.items())
        for read, when in ((ret, None), *others):
            yield Field(read.name, read.type, read.entry.doc, Source.RESULT, origin, when)
        if call.flow is not Flow.ENTRY:
            yield _placed(self.fields.read(DURATION), Source.CLOCK, Elapsed())

    def _looked_up(self, read: WrittenField) -> Field:
        entry = read.entry
        assert entry.look_up, f"{read.name} is not looked up"
        given = tuple(self.context[name] for name in entry.given)
        return _placed(read, Source.LOOKED_UP, LookUp(entry.look_up, given, entry.fed))


def _placed(read: WrittenField, source: Source, origin: Origin) -> Field:
    return Field(read.name, read.type, read.entry.doc, source, origin, read.entry.when)


def _captured(read: WrittenField) -> Field:
    entry = read.entry
    if entry.read:
        return _placed(read, Source.KERNEL, Walk(entry.read, entry.of, entry.optional))
    template = entry.capture or read.type.capture
    source = Source.IMAGE if template == "image_strings" else Source.KERNEL
    return _placed(read, source, Captured(template))


def _shown_by_default(fields: Mapping[str, Field]) -> Iterator[str]:
    """Yield the arguments; in place of a structure, its parts, as far as there are any."""
    for name, field in fields.items():
        if isinstance(field.origin, Passed):
            is_structure = field.kind is Kind.OPAQUE
            yield from field.type.parts if is_structure else (name,)


def _length(
    entry: str | LengthEntry | None, widths: Mapping[str, tuple[int, str]]
) -> Length | None:
    if entry is None:
        return None
    if isinstance(entry, str):
        index, c_type = widths[entry]
        return Length(index, None, c_type)
    return Length(widths[entry.of][0], entry.at, entry.c)


def _argument_source(read: WrittenField, flow: Flow) -> Source:
    if read.type.capture == "scalar":
        return Source.REGISTERS
    if read.entry.returned:
        return Source.RETURNED
    return Source.USER_ENTRY if flow in (Flow.EXEC, Flow.ENTRY) else Source.USER_EXIT


def _index(fields: Mapping[str, Field], name: str | None) -> int | None:
    """Return the number of the argument that is the field `name`."""
    if name is None:
        return None
    origin = fields[name].origin
    assert isinstance(origin, Argument), f"{name} is no argument"
    return origin.index


def _call_files() -> list[Path]:
    return sorted((DATA / "syscalls").glob("*.yaml"))
