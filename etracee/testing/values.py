"""From an event of a test, written as it would be printed, to the values that rules compare."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from etracee.catalog import Catalog, Field
from etracee.catalog.model import Derivation, PartOf
from etracee.problems import Place, Problem, ProblemsError, did_you_mean
from etracee.rules.model import TestEvent
from etracee.types.base import ConstantError

_ENVELOPE = {"timestamp", "human_time", "syscall_id", "truncated", "raw"}
"""Keys that an event is printed with and that are no fields."""
_TIME = re.compile("[0-9]{1,18}|1[0-9]{18}")
"""Nanoseconds since the epoch, up to 2033."""


@dataclass(frozen=True)
class Values:
    """An event's values by field, as they come out of a record; a field not given is missing.

    `cut` names the fields that were longer than their buffer. `time` is in ns since the epoch,
    None where the test does not say. `written` is what stands in the test, by field.
    """

    type: str
    fields: Mapping[str, Any]
    cut: tuple[str, ...]
    time: int | None
    written: Mapping[str, Any]


def read_values(event: TestEvent, catalog: Catalog) -> Values:
    """Return the values of an event; ProblemsError with all that is wrong in it."""
    known = catalog.events.get(event.type)
    if known is None:
        hint = did_you_mean(event.type, catalog.events) or "see `etracee list events`"
        message = f"no event is named {event.type!r}"
        raise ProblemsError([Problem(_place(event, "type"), message, hint)])
    reader = _Reader(event, {**catalog.context, **known.fields})
    fields = dict(reader.fields())
    fields |= _parts(reader.known, fields)
    written = {".".join(path): shown for path, shown in reader.written()}
    values = Values(event.type, fields, reader.cut(), reader.time(), written)
    if reader.problems:
        raise ProblemsError(sorted(reader.problems, key=_order))
    return values


class _Reader:
    def __init__(self, event: TestEvent, known: Mapping[str, Field]) -> None:
        self.event, self.known = event, known
        self.problems: list[Problem] = []

    def fields(self) -> Iterator[tuple[str, Any]]:
        exact = self.raw()
        for path, shown in self.written():
            name = ".".join(path)
            field = self.known.get(name) if path == tuple(name.split(".")) else None
            if field is None:
                self.refuse(path, f"{self.event.type} has no field {name!r}", self.hint(name))
            elif isinstance(field.origin, Derivation):
                hint = f"give what it comes from: {field.origin.expression}"
                self.refuse(path, f"{name} is derived", hint)
            elif shown is not None:
                yield name, exact[name] if name in exact else self.value(field, shown)

    def hint(self, name: str) -> str | None:
        """Say how a field is written that is none as it stands."""
        first, dot, rest = name.partition(".")
        if name in self.known and dot:
            return f"nest it, as it is printed: {first}: {{{rest}: …}}"
        inner = [field for field in self.known if field.startswith(f"{name}.")]
        return f"there are {', '.join(inner)}" if inner else did_you_mean(name, self.known)

    def written(self) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield what is written of fields, with the keys that lead to it."""
        values = {key: v for key, v in self.event.values.items() if key not in _ENVELOPE}
        return self.leaves(values)

    def leaves(
        self, written: Mapping[str, Any], outer: tuple[str, ...] = ()
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield what is written with the keys that lead to it; fields with dots are nested."""
        for key, value in written.items():
            path = (*outer, key)
            prefix = ".".join((*path, ""))
            if isinstance(value, Mapping) and any(n.startswith(prefix) for n in self.known):
                yield from self.leaves(value, path)
            else:
                yield path, value

    def value(self, field: Field, shown: object) -> object:
        try:
            return field.type.read_shown(shown)
        except ValueError as error:
            hint = error.find_hint() if isinstance(error, ConstantError) else None
            self.problem(field.name.split("."), f"{field.name}: {error}", hint)
            return None

    def raw(self) -> dict[str, object]:
        """Return the exact bytes of texts that are not UTF-8, which are printed beside them."""
        raw = self.event.values.get("raw") or {}
        try:
            return {".".join(path): _exact(encoded) for path, encoded in self.leaves(raw)}
        except (AttributeError, TypeError, ValueError, binascii.Error):
            self.problem(["raw"], "raw: fields and their bytes in base64 were expected")
            return {}

    def cut(self) -> tuple[str, ...]:
        names = self.event.values.get("truncated") or []
        if not isinstance(names, list):
            self.problem(["truncated"], "truncated: a list of fields was expected")
            return ()
        for name in names:
            if not isinstance(name, str) or name not in self.known:
                self.problem(["truncated"], f"{self.event.type} has no field {name!r}")
            elif not self.known[name].may_be_cut:
                self.problem(["truncated"], f"{name} is never cut")
        return tuple(map(str, names))

    def time(self) -> int | None:
        shown = self.event.values.get("timestamp")
        if shown is None:
            return None
        if isinstance(shown, str) and _TIME.fullmatch(shown):
            return int(shown)
        self.problem(["timestamp"], "timestamp: nanoseconds since the epoch were expected")
        return None

    def problem(self, path: Iterable[str], message: str, hint: str | None = None) -> None:
        """Note that the value to which the keys of `path` lead is wrong."""
        self.problems.append(Problem(_place(self.event, *path), message, hint))

    def refuse(self, path: Iterable[str], message: str, hint: str | None) -> None:
        """Note that the last key of `path` does not belong there."""
        self.problems.append(Problem(self.event.where.below(*path).key_place(), message, hint))


def _parts(known: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be read out of the given fields and was not given by itself."""
    found = {}
    for name, field in known.items():
        if isinstance(field.origin, PartOf) and name not in given:
            whole = given.get(field.origin.whole)
            if whole is not None:
                part = field.origin.part
                found[name] = part.python(whole, *part.given)
    return found


def _exact(encoded: Any) -> bytes | list[bytes]:
    if isinstance(encoded, list):
        return [base64.b64decode(element, validate=True) for element in encoded]
    return base64.b64decode(encoded, validate=True)


def _place(event: TestEvent, *path: str) -> Place | None:
    return event.where.below(*path).place()


def _order(problem: Problem) -> Place:
    return problem.where or Place("", 0, 0)
