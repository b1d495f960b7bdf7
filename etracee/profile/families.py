"""Events that a profile names by their family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from etracee.catalog import Catalog
from etracee.problems import wrong
from etracee.profile.model import Profile, WatchedEvent

SYSCALLS = "syscalls"
"""The family of all calls."""


def families_of(catalog: Catalog) -> Mapping[str, tuple[str, ...]]:
    """Return the families that a profile may name, with their events."""
    calls = (event.name for event in catalog.events.values() if event.number is not None)
    return {**catalog.families, SYSCALLS: tuple(calls)}


def expand_families(profile: Profile, catalog: Catalog) -> Profile:
    """Return the profile with events in place of families; what is no family stays as it is.

    What is written for an event by its name counts before what is written for its family, and an
    event that is `off` stays away. ProblemsError where no event is left.
    """
    families = families_of(catalog)
    events: dict[str, WatchedEvent] = {}
    for name, watched in profile.events.items():
        family = families.get(name[1:]) if name.startswith("$") else None
        if family is None:
            events[name] = _over(watched, events.get(name))
            continue
        for member in (m for m in family if m not in profile.off):
            named = replace(watched.name, text=member)
            events[member] = _over(events.get(member), replace(watched, name=named))
    if not events:
        place = next(iter(profile.events.values())).name.key_place()
        raise wrong(place, "all events of the family are off: the profile watches none")
    return replace(profile, events=events)


def _over(own: WatchedEvent | None, general: WatchedEvent | None) -> WatchedEvent:
    """Return what both say, each key as `own` has it where it says something."""
    if own is None or general is None:
        found = own or general
        assert found is not None, "one of them is there"
        return found
    said = {field.name: getattr(own, field.name) for field in fields(own)}
    return replace(general, **{name: value for name, value in said.items() if value is not None})
