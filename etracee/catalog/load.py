"""Read the catalog's YAML and resolve it for one architecture."""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from etracee.catalog.compat import add_abi_calls
from etracee.catalog.entries import (
    FeedEntry,
    FieldEntry,
    FlagsEntry,
    Flow,
    LengthEntry,
    LifecycleEntry,
    PathEntry,
    Registers,
    ShiftEntry,
    SyscallEntry,
)
from etracee.catalog.model import (
    Absent,
    Argument,
    Captured,
    Catalog,
    Derivation,
    Elapsed,
    EventType,
    Feed,
    Field,
    FileOf,
    Length,
    LookUp,
    PartOf,
    Passed,
    Reading,
    ReturnValue,
    SocketOf,
    Source,
    Walk,
)
from etracee.catalog.requests import read_requests
from etracee.problems import host_lacks
from etracee.types import Kind, Type, make_type
from etracee.types.flags import Flags
from etracee.types.number import Descriptor

DATA = Path(__file__).parent / "data"
DURATION = "duration_ns"
"""The field of every call that returns."""
REQUESTS = DATA / "io_uring.yaml"


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
    entries, told = reader.entries(), read_data(DATA / "compat.yaml")
    compat = add_abi_calls(events.values(), entries, registers.compat.abi, told)
    events = {event.name: event for event in compat}
    families = find_families(events.values())
    elsewhere = frozenset(entries.keys() - events.keys())
    return Catalog(arch, registers, events, reader.context, families, elsewhere, {})


def find_families(events: Iterable[EventType]) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the events of each family."""
    families: dict[str, tuple[str, ...]] = {}
    for event in events:
        for family in event.families:
            families[family] = (*families.get(family, ()), event.name)
    return families


def architectures() -> list[str]:
    """Return the architectures of which the catalog knows calls and registers."""
    return list(read_data(DATA / "arch.yaml"))


class _Reader:
    """Reads the files under DATA and ties names to what they name."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.known = read_data(DATA / "fields.yaml")
        entries = read_data(DATA / "context.yaml").items()
        self.context = {name: self._captured(name, FieldEntry(**entry)) for name, entry in entries}
        for name, entry in read_data(DATA / "enrich.yaml").items():
            self.context[name] = self._looked_up(name, FieldEntry(**entry))

    def named(self, name: str) -> Field:
        """Return the field of that name, as one of the kernel's."""
        return self._captured(*self._field_entry({"name": name}))

    def entries(self) -> Mapping[str, SyscallEntry]:
        """Return the calls of all architectures."""
        files = map(read_data, _call_files())
        return {name: SyscallEntry(**data) for file in files for name, data in file.items()}

    def events(self) -> Iterator[EventType]:
        for name, entry in self.entries().items():
            if self.arch in entry.number:
                yield self._syscall(name, entry)
        for name, data in read_data(DATA / "lifecycle.yaml").items():
            yield self._lifecycle(name, LifecycleEntry(**data))

    def _syscall(self, name: str, entry: SyscallEntry) -> EventType:
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
        default = entry.default or tuple(_shown_by_default(fields))
        number = entry.number[self.arch]
        tracepoint = entry.tracepoint or name
        families = entry.families
        return EventType(name, entry.doc, entry.flow, number, fields, default, families, tracepoint)

    def _lifecycle(self, name: str, entry: LifecycleEntry) -> EventType:
        captured = (self._captured(*self._field_entry(item)) for item in entry.fields)
        fields = dict(self._with_parts(captured))
        feeds = self._feed(entry.feeds, fields) if entry.feeds else None
        default, tracepoint = entry.default, entry.tracepoint
        return EventType(name, entry.doc, entry.flow, None, fields, default, (), tracepoint, feeds)

    def _feed(self, entry: FeedEntry, fields: Mapping[str, Field]) -> Feed:
        known = {**self.context, **fields}
        return Feed(entry.method, tuple(known[name] for name in entry.given))

    def _arguments(self, entry: SyscallEntry) -> Iterator[Field]:
        written = entry.arguments
        items = written[self.arch] if isinstance(written, Mapping) else written
        plain = [{"name": item} if isinstance(item, str) else item for item in items]
        entries = dict(map(self._field_entry, plain))
        types = {name: self._type(field) for name, field in entries.items()}
        widths = {name: (n, kind.storage.c_type) for n, (name, kind) in enumerate(types.items())}
        for index, (name, field) in enumerate(entries.items()):
            length = _length(field.length, widths)
            origin = Argument(index, length, field.returned, kernel_name=field.argument or name)
            source = _argument_source(types[name], field, entry.flow)
            yield Field(name, types[name], field.doc, source, origin, field.when)

    def _reading(self, item: Mapping[str, Any], fields: Mapping[str, Field]) -> Field:
        plain = {key: value for key, value in item.items() if key not in ("of", "at")}
        name, entry = self._field_entry(plain)
        arguments = {
            name: (field.origin, field.type.storage.c_type)
            for name, field in fields.items()
            if isinstance(field.origin, Argument)
        }
        other, _ = arguments[item["of"]]
        widths = {name: (origin.index, c) for name, (origin, c) in arguments.items()}
        length = _length(entry.length, widths)
        origin = Reading(other.index, length, entry.returned, item.get("at"))
        kind = self._type(entry)
        source = _argument_source(kind, entry, Flow.SYSCALL)
        return Field(name, kind, entry.doc, source, origin, entry.when)

    def _path(self, name: str, told: PathEntry, fields: Mapping[str, Field]) -> Field:
        entry = FieldEntry(**self.known[name])
        at, named, fd = (_index(fields, which) for which in (told.at, told.name, told.fd))
        origin = FileOf(named, at, fd, told.result)
        source = Source.KERNEL if named is None else Source.KERNEL_OR_USER
        return Field(name, self._type(entry), entry.doc, source, origin)

    def _descriptors(self, entry: SyscallEntry, fields: Mapping[str, Field]) -> Iterator[Field]:
        """Yield the files behind the descriptors that a call is given, each as NAME_path."""
        for name, field in fields.items():
            if isinstance(field.type, Descriptor) and name not in entry.closes:
                told = FieldEntry(**self.known["fd_path"])
                doc = told.doc.replace("fd ", f"{name} ", 1)
                origin = FileOf(None, None, _index(fields, name), None)
                yield Field(f"{name}_path", self._type(told), doc, Source.KERNEL, origin)

    def _sockets(self, entry: SyscallEntry, fields: Mapping[str, Field]) -> Iterator[Field]:
        if entry.socket is not None:
            told = FieldEntry(**self.known["endpoints"])
            origin = SocketOf(None if entry.socket == "ret" else _index(fields, entry.socket))
            yield Field("endpoints", self._type(told), told.doc, Source.KERNEL, origin)

    def _field_entry(self, item: Mapping[str, Any]) -> tuple[str, FieldEntry]:
        name = item["name"]
        changes = {key: value for key, value in item.items() if key != "name"}
        return name, FieldEntry(**{**self.known.get(name, {}), **changes})

    def _captured(self, name: str, entry: FieldEntry) -> Field:
        kind = self._type(entry)
        if entry.read:
            return Field(
                name, kind, entry.doc, Source.KERNEL, Walk(entry.read, entry.of, entry.optional)
            )
        template = entry.capture or kind.capture
        source = Source.IMAGE if template == "image_strings" else Source.KERNEL
        return Field(name, kind, entry.doc, source, Captured(template))

    def _with_parts(self, fields: Iterator[Field]) -> Iterator[tuple[str, Field]]:
        for field in fields:
            yield field.name, field
            parts = {} if isinstance(field.origin, Absent) else field.type.parts
            for name, part in parts.items():
                origin = PartOf(field.name, part)
                yield name, Field(name, part.type, part.doc, field.source, origin, field.when)

    def _derived(self, name: str, expression: str) -> Field:
        entry = FieldEntry(**self.known[name])
        return Field(name, self._type(entry), entry.doc, Source.DERIVED, Derivation(expression))

    def _results(self, call: SyscallEntry) -> Iterator[Field]:
        """Yield what is known when a call returns; its result is missing where it does not."""
        origin = Absent() if call.flow is Flow.ENTRY else ReturnValue()
        for name, when in (("ret", None), *call.returns.items()):
            entry = FieldEntry(**self.known[name])
            yield Field(name, self._type(entry), entry.doc, Source.REGISTERS, origin, when)
        if call.flow is Flow.ENTRY:
            return
        entry = FieldEntry(**self.known[DURATION])
        yield Field(DURATION, self._type(entry), entry.doc, Source.CLOCK, Elapsed())

    def _looked_up(self, name: str, entry: FieldEntry) -> Field:
        assert entry.look_up, f"{name} is not looked up"
        given = tuple(self.context[name] for name in entry.given)
        origin = LookUp(entry.look_up, given, entry.fed)
        return Field(name, self._type(entry), entry.doc, Source.LOOKED_UP, origin)

    def _type(self, entry: FieldEntry) -> Type:
        parameters = dict(entry.parameters)
        if "set" in parameters:
            parameters |= self._flags(parameters.pop("set"))
        if "resolve" in parameters:
            parameters["resolve"] = Flags(**self._flags(parameters["resolve"]), c="u64")
        for key in _NAME_TABLES & parameters.keys():
            parameters[key] = _names(parameters[key])
        if "tables" in parameters:
            chosen = self._type(FieldEntry(**self.known[parameters["by"]]))
            tables = parameters["tables"].items()
            parameters["tables"] = {chosen.parse(str(key)): _names(name) for key, name in tables}
        if "members" in parameters:
            members = parameters["members"].items()
            parameters["members"] = {name: self._member(name, at) for name, at in members}
        return make_type(entry.type, parameters)

    def _member(self, name: str, told: int | Mapping[str, Any]) -> tuple[int, Type, str]:
        """Return offset, type and meaning of a member, told by the offset or with what differs."""
        changes = {"at": told} if isinstance(told, int) else dict(told)
        at = changes.pop("at")
        _, entry = self._field_entry({"name": name, **changes})
        return at, self._type(entry), entry.doc

    def _flags(self, name: str) -> dict[str, Any]:
        entry = FlagsEntry(**read_data(DATA / "flags" / f"{name}.yaml"))
        bits = {flag: self._number(value) for flag, value in entry.bits.items()}
        if entry.like is not None:
            taken = {*bits.values()}
            others = self._flags(entry.like)["bits"].items()
            bits |= {flag: value for flag, value in others if value not in taken}
        shifted = dict(_shifted(name, shift) for name, shift in entry.shifted.items())
        return {"bits": bits, "groups": entry.groups, "shifted": shifted, "doc": entry.doc}

    def _number(self, value: int | Mapping[str, int]) -> int:
        return value if isinstance(value, int) else value[self.arch]


_NAME_TABLES = {"names", "signals", "families", "kinds", "protocols"}
"""Parameters of types that name a file under data/names."""


def _shifted(name: str, entry: ShiftEntry) -> tuple[int, Mapping[str, int]]:
    """Return the mask of a number among flags, and all its values but 0 by their names."""
    names = {f"{n}<<{name}": n << entry.shift for n in range(1, 1 << entry.bits)}
    return ((1 << entry.bits) - 1) << entry.shift, names


def _names(tables: str | Sequence[str]) -> Mapping[str, int]:
    """Return the names of a table, or of several, of which the first one's are printed."""
    each = (tables,) if isinstance(tables, str) else tables
    return {n: v for table in each for n, v in read_data(DATA / "names" / f"{table}.yaml").items()}


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


def _argument_source(kind: Type, entry: FieldEntry, flow: Flow) -> Source:
    if kind.capture == "scalar":
        return Source.REGISTERS
    if entry.returned:
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


@functools.cache
def read_data(path: Path) -> Any:
    """Return what a file of the catalog holds."""
    return yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a safe loader, extended


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 with the 0o… of YAML 1.2, in which manuals write file flags."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+$"), "0")
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value, 0))
