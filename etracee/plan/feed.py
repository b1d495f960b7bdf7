"""Between the first and the second pass: events that tell what fields of others depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etracee.catalog import Catalog, EventType
from etracee.expr.tree import YES
from etracee.plan.demand import find_reads
from etracee.plan.resolve import ResolvedEvent


def add_feeding(events: tuple[ResolvedEvent, ...], catalog: Catalog) -> tuple[ResolvedEvent, ...]:
    """Return the events, with those that the table of processes needs where somebody reads of it.

    An event that is there for this alone is not delivered, and has nothing to show. One that is
    there anyway is told of whatever its filters say.
    """
    if not any(field.is_fed for event in events for field in find_reads(event)):
        return events
    told = {event.type.name: replace(event, feeds=event.type.feeds) for event in events}
    for type_ in _feeding(catalog):
        told.setdefault(type_.name, ResolvedEvent(type_, (), YES, (), False, None, type_.feeds))
    return tuple(told.values())


def _feeding(catalog: Catalog) -> Iterator[EventType]:
    return (event for event in catalog.events.values() if event.feeds is not None)
