"""Families of events: which there are, what they are for, and which of their events do the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from etracee.catalog.entries import FamilyEntry
from etracee.catalog.model import EventType
from etracee.catalog.read import DATA, read_data


def find_families(events: Iterable[EventType]) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the events of each family."""
    families: dict[str, tuple[str, ...]] = {}
    for event in events:
        for family in event.families:
            families[family] = (*families.get(family, ()), event.name)
    return families


def read_families() -> Mapping[str, FamilyEntry]:
    """Return what data/families.yaml says of families; it need not know each."""
    return {name: FamilyEntry(**data) for name, data in read_data(DATA / "families.yaml").items()}


def find_siblings(
    written: Mapping[str, FamilyEntry], families: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield each set of events of which one does the same as another."""
    for name, members in families.items():
        entry = written.get(name)
        if entry is not None:
            groups = (members,) if entry.siblings == "all" else entry.siblings
            yield from (group for group in (_those(g, members) for g in groups) if len(group) > 1)


def _those(group: Iterable[str], members: Collection[str]) -> tuple[str, ...]:
    """Return those of a group that the architecture has."""
    return tuple(name for name in group if name in members)
