"""Fields as data/fields.yaml writes them, with their types for one architecture."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etracee.catalog.entries import FieldEntry, FlagsEntry, ShiftEntry
from etracee.catalog.read import DATA, read_data
from etracee.types import Type, make_type
from etracee.types.base import Names
from etracee.types.flags import Flags


@dataclass(frozen=True)
class WrittenField:
    """A field before it is known where its value comes from."""

    name: str
    entry: FieldEntry
    type: Type


class FieldReader:
    """Reads fields for one architecture; what stands for many calls is read once."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.known = read_data(DATA / "fields.yaml")
        self._plain: dict[str, WrittenField] = {}
        self._flag_sets: dict[str, Mapping[str, Any]] = {}

    def read(self, item: str | Mapping[str, Any]) -> WrittenField:
        """Return the field of that name; a mapping has its `name` and what differs."""
        name = item if isinstance(item, str) else item["name"]
        changes = {} if isinstance(item, str) else {k: v for k, v in item.items() if k != "name"}
        if changes:
            return self.make(name, {**self.known.get(name, {}), **changes})
        if name not in self._plain:
            self._plain[name] = self.make(name, self.known[name])
        return self._plain[name]

    def make(self, name: str, written: Mapping[str, Any]) -> WrittenField:
        """Return a field that is written elsewhere than in fields.yaml."""
        entry = FieldEntry(**written)
        return WrittenField(name, entry, self._type(entry))

    def _type(self, entry: FieldEntry) -> Type:
        parameters = dict(entry.parameters)
        if "set" in parameters:
            parameters |= self._flags(parameters.pop("set"))
        if "resolve" in parameters:
            parameters["resolve"] = Flags(**self._flags(parameters["resolve"]), c="u64")
        for key in _NAME_TABLES & parameters.keys():
            parameters[key] = _names(parameters[key])
        if "tables" in parameters:
            chosen = self.read(parameters["by"]).type
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
        field = self.read({"name": name, **changes})
        return at, field.type, field.entry.doc

    def _flags(self, name: str) -> Mapping[str, Any]:
        if name not in self._flag_sets:
            self._flag_sets[name] = self._read_flags(name)
        return self._flag_sets[name]

    def _read_flags(self, name: str) -> Mapping[str, Any]:
        entry = FlagsEntry(**read_data(DATA / "flags" / f"{name}.yaml"))
        bits = {flag: self._number(value) for flag, value in entry.bits.items()}
        if entry.like is not None:
            taken = {*bits.values()}
            others = self._flags(entry.like)["bits"].items()
            bits |= {flag: value for flag, value in others if value not in taken}
        shifted = dict(_shifted(name, shift) for name, shift in entry.shifted.items())
        rare = {"query": entry.query, "number": entry.number}
        told = {key: value for key, value in rare.items() if value is not None}
        return {"bits": bits, "shifted": shifted, "groups": entry.groups, "doc": entry.doc, **told}

    def _number(self, value: int | Mapping[str, int]) -> int:
        return value if isinstance(value, int) else value[self.arch]


_NAME_TABLES = {"names", "signals", "families", "kinds", "protocols"}
"""Parameters of types that name a file under data/names."""


def _shifted(name: str, entry: ShiftEntry) -> tuple[int, Mapping[str, int]]:
    """Return the mask of a number among flags, and all its values but 0 by their names."""
    names = {f"{n}<<{name}": n << entry.shift for n in range(1, 1 << entry.bits)}
    return ((1 << entry.bits) - 1) << entry.shift, names


def _names(tables: str | Sequence[str]) -> Names:
    """Return the names of a table, or of several, of which the first one's are printed."""
    return _read_names((tables,) if isinstance(tables, str) else (*tables,))


@functools.cache
def _read_names(tables: tuple[str, ...]) -> Names:
    """A table is called what its names stand for: data/names/ptrace_request.yaml."""
    each = (read_data(DATA / "names" / f"{table}.yaml") for table in tables)
    noun = tables[0].replace("_", " ")
    return Names(noun, {name: number for table in each for name, number in table.items()})
