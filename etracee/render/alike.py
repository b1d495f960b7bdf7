"""Calls that are counted by the same fields share a function, since a program may hold them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from etracee.catalog import Flow
from etracee.fragments import C, c
from etracee.plan import EventPlan
from etracee.render.views import NOTHING, EventView

ALIKE = "counted_alike.c.j2"
"""The template of the function, which is given the event's index."""
_NAME = "counted_alike"


@dataclass(frozen=True)
class Alike:
    """Events by the name of the function that they share, each of which has two at least."""

    groups: Mapping[str, tuple[EventPlan, ...]]
    names: Mapping[str, str]
    """By event, the name of its group."""

    def distinct(self, events: Iterable[EventPlan]) -> Iterator[EventPlan]:
        """Yield events that have a function of their own, and one for each group."""
        for event in events:
            group = self.names.get(event.name)
            if group is None:
                yield event
            elif self.groups[group][0] is event:
                yield _named(event, group, _title(self.groups[group]))

    def name_of(self, event: str) -> str:
        """Return what the functions of an event are named after."""
        return self.names.get(event, event)

    def argument_of(self, event: str | None) -> C:
        """Return what the function of an event is given besides."""
        group = self.groups.get(self.names.get(event or "", ""), ())
        index = next((e.layout.index for e in group if e.name == event), None)
        return NOTHING if index is None else c(", {index}", index=index)


def find_alike(events: Iterable[EventPlan], view: Callable[[EventPlan], EventView]) -> Alike:
    """Return the events of which `view` says the same but for their names."""
    found: dict[EventView, list[EventPlan]] = {}
    for event in events:
        is_plain = (
            event.type.flow is Flow.SYSCALL
            and not (event.takes_time or event.closes)
            and not event.is_abi_told
        )
        if event.counting and not event.is_sent and is_plain:
            found.setdefault(view(_named(event, _NAME, "")), []).append(event)
    shared = (group for group in found.values() if len(group) > 1)
    groups = {f"{_NAME}_{number}": tuple(group) for number, group in enumerate(shared)}
    return Alike(groups, {event.name: name for name, group in groups.items() for event in group})


def is_alike(event: EventPlan) -> bool:
    """Say whether an event stands for all that share its function."""
    return event.name.startswith(_NAME)


def _named(event: EventPlan, name: str, doc: str) -> EventPlan:
    layout = replace(event.layout, event=name, index=0)
    return replace(event, type=replace(event.type, name=name, doc=doc), layout=layout)


def _title(group: tuple[EventPlan, ...]) -> str:
    first = ", ".join(event.name for event in group[:_SHOWN])
    return f"{first} and {len(group) - _SHOWN} more" if len(group) > _SHOWN else first


_SHOWN = 8
