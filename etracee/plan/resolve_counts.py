"""Resolve what `mode: count` counts by: names become fields of each event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as default

from etracee.catalog import Catalog, EventType, Field
from etracee.catalog.model import Absent
from etracee.expr.check import check
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import YES, Tree
from etracee.plan.findings import Findings
from etracee.plan.model import KeyPart
from etracee.problems import Place, did_you_mean, name_some
from etracee.profile import Profile
from etracee.profile.written import Located
from etracee.types.named import Result
from etracee.types.number import Number


@dataclass(frozen=True)
class ResolvedCount:
    """What an event is counted by."""

    by: tuple[KeyPart, ...]
    histogram: KeyPart | None

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        """Return all whose values are read."""
        return (*self.by, self.histogram) if self.histogram else self.by


@dataclass
class _Use:
    """A name that was written, and what the events make of it."""

    name: Located
    is_known: bool = False
    lacking: list[str] = default(default_factory=list)


class CountResolver:
    """Resolves what the profile says for all its events, and what it says for each."""

    def __init__(self, profile: Profile, catalog: Catalog, findings: Findings) -> None:
        self.profile, self.catalog, self.findings = profile, catalog, findings
        self.used: dict[Place | None, _Use] = {}

    def resolve(self, watched: Iterable[EventType]) -> dict[str, ResolvedCount]:
        """Return, by event, what it is counted by, of those that are; what is wrong is noted."""
        self.check_modes()
        counted = {event.name: self.count(event) for event in watched if self.is_counted(event)}
        for use in self.used.values():
            self.tell_lacking(use)
        return counted

    def is_counted(self, event: EventType) -> bool:
        return (self.profile.events[event.name].mode or self.profile.mode) == "count"

    def check_modes(self) -> None:
        """Note each `count` of which nothing can come, since no mode was written."""
        events = self.profile.events.values()
        if self.profile.mode is not None:
            return
        idle = [event.count for event in events if event.count and event.mode is None]
        if self.profile.count and all(event.mode is None for event in events):
            idle.append(self.profile.count)
        for count in idle:
            problem = "`count` without `mode: count`: nothing would be counted"
            self.findings.problem_at_key(count.where, problem, "add `mode: count` beside it")

    def count(self, event: EventType) -> ResolvedCount:
        own, general = self.profile.events[event.name].count, self.profile.count
        by, histogram = (own.by, own.histogram) if own else (None, None)
        if by is None and general:
            by = general.by
        if histogram is None and general:
            histogram = general.histogram
        keys = tuple(self.keys(event, by or ()))
        return ResolvedCount(keys, self.histogram(event, histogram) if histogram else None)

    def keys(self, event: EventType, names: tuple[Located, ...]) -> Iterator[KeyPart]:
        written: set[str] = set()
        for name in names:
            if name.text in written:
                self.findings.problem(name, f"{name.text} is counted by already")
                continue
            written.add(name.text)
            field = self.field(event, name)
            if field is not None:
                yield KeyPart(field, _implied(event, field))

    def histogram(self, event: EventType, name: Located) -> KeyPart | None:
        field = self.field(event, name)
        if field is None:
            return None
        if not _is_quantity(field):
            message = f"{name.text} is no quantity ({field.type.doc}), so it has no histogram"
            self.findings.problem(name, message, "name one such as ret, or count by it")
        return KeyPart(field, _implied(event, field))

    def field(self, event: EventType, name: Located) -> Field | None:
        """Return the event's field; where it has none, that is told at the end."""
        field = {**self.catalog.context, **event.fields}.get(name.text)
        use = self.used.setdefault(name.place(), _Use(name))
        if field is None or isinstance(field.origin, Absent):
            use.lacking.append(event.name)
            return None
        use.is_known = True
        return field

    def tell_lacking(self, use: _Use) -> None:
        """Note a name that no event knows as wrong, one that some do not as doubtful."""
        name, events = use.name, use.lacking
        if not events:
            return
        if use.is_known:
            has = "have" if len(events) > 1 else "has"
            message = f"{name_some(events)} {has} no field {name.text!r}: counted without it"
            self.findings.warning(name, message)
            return
        is_of_one = len(events) == 1 and not self.is_general(name)
        who = f"{events[0]} has no" if is_of_one else "no counted event has a"
        self.findings.problem(name, f"{who} field {name.text!r}", self.hint(name, events))

    def is_general(self, name: Located) -> bool:
        """Say whether the name stands where it counts for all events."""
        count = self.profile.count
        return count is not None and name in (*(count.by or ()), count.histogram)

    def hint(self, name: Located, lacking: list[str]) -> str:
        """Return the nearest field of the events that lack it, or else of any event."""
        known = {**self.catalog.context}
        for event in lacking:
            known |= self.catalog.events[event].fields
        near = did_you_mean(name.text, known)
        if near:
            return near
        others = {field for event in self.catalog.events.values() for field in event.fields}
        near = did_you_mean(name.text, sorted(others))
        return f"{near} other events have it" if near else "see `etracee list fields`"


def _is_quantity(field: Field) -> bool:
    """Say whether the values are more or less of something, and not names or addresses."""
    plain = isinstance(field.type, Number) and field.type.base == 10
    return plain or isinstance(field.type, Result)


def _implied(event: EventType, field: Field) -> Tree:
    if field.implied is None:
        return YES
    scope = scope_of([event], {}, {})
    return check(field.implied, scope, Report(lambda _: None))[event.name]
