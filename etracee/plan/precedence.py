"""After the fourth pass: which events leave the last quarter of the ring to others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from etracee.catalog import Flow
from etracee.event import LEVELS
from etracee.expr.tree import YES
from etracee.plan.model import EventPlan, RulePlan
from etracee.plan.pushdown import OTHERS

_GRAVE = LEVELS[LEVELS.index("high") :]
_OF_PROCESSES = (Flow.EXEC, Flow.FORK, Flow.IMAGE, Flow.EXIT)
"""Events that a host has seldom, since each of them costs it a process or an image."""


def give_way(events: tuple[EventPlan, ...], rules: tuple[RulePlan, ...]) -> tuple[EventPlan, ...]:
    """Return the events; those that give way are refused while the ring is nearly full.

    Records stay that a rule of level high or above may need, or one for which the kernel ends the
    process. Where there is no such rule, it is events that tell of processes which stay. Where
    nothing would stay, nothing gives way: the last quarter would be of no use to anybody.
    """
    grave = {index for index, rule in enumerate(rules) if rule.level in _GRAVE}
    if any(_bits_of(event, grave) for event in events):
        ranked = tuple(_rank(event, _bits_of(event, grave)) for event in events)
    else:
        ranked = tuple(
            replace(event, gives_way=event.type.flow not in _OF_PROCESSES) for event in events
        )
    sent = [event for event in ranked if event.is_sent]
    is_of_use = not all(event.gives_way and not event.stays_for for event in sent)
    return ranked if is_of_use else events


def _rank(event: EventPlan, bits: int) -> EventPlan:
    """Let the event give way, but for records with one of these bits.

    What the table of processes is told of stays: rules read of it with other events.
    """
    always = sum(1 << number for number, tree in event.bits if tree == YES)
    return replace(event, gives_way=not event.feeds and not bits & always, stays_for=bits)


def _bits_of(event: EventPlan, rules: Iterable[int]) -> int:
    """Return the bits of the records that one of `rules` may need."""
    numbers = {
        OTHERS if match.bit is None else match.bit for match in event.matches if match.rule in rules
    }
    return event.kills | sum(1 << number for number in numbers)
