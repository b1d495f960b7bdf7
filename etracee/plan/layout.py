"""Third pass: give every captured field its place in the record."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from etracee.event import ABI_NUMBER, EventLayout, Slot, Storage
from etracee.plan.demand import Demand
from etracee.types.base import integer

HEADER = (("time", integer("u64")), ("event", integer("u32")))
"""What every record begins with: CLOCK_MONOTONIC in ns at the call's end, and the event's index."""
RULES = ("rules", integer("u64"))
"""The bits of the rules that may match, where there are any."""


def lay_out(
    demand: Demand, index: int, context: Container[str] = (), *, compat: bool = False
) -> EventLayout:
    """Return the layout: the header, what is named in `context`, other fixed slots, variable ones.

    The context lies together, since it is the same in many records. Variable slots keep the order
    in which they are captured. With `compat`, 32-bit calls are told from others.
    """
    head = [*HEADER]
    head += [(ABI_NUMBER, integer("u16"))] if compat and demand.event.type.abi_calls else []
    head += [RULES] if demand.event.matches else []
    slots, size = place((name, storage, 0) for name, storage in head)
    for values in _divide(demand, context):
        placed, size = place(_fit(values, size), size)
        slots += placed
    return EventLayout(demand.event.type.name, index, slots, round_up(size, 8))


Value = tuple[str, Storage, int]
"""Name, storage and limit of what a slot is for."""


def _divide(demand: Demand, context: Container[str]) -> tuple[list[Value], ...]:
    """Return the values in groups, in the order in which these lie in a record."""
    values = [
        (field.name, field.type.storage, demand.limits.get(field.name, 0))
        for field in demand.captures
    ]
    fixed = [value for value in values if not value[1].variable]
    return (
        [value for value in fixed if value[0] in context],
        [value for value in fixed if value[0] not in context],
        [value for value in values if value[1].variable],
    )


def _fit(values: list[Value], offset: int) -> Iterator[Value]:
    """Yield the values in an order that leaves few gaps behind `offset`: the widest that fits."""
    left = sorted(values, key=lambda value: -alignment(value[1]))
    while left:
        fitting = (value for value in left if offset % alignment(value[1]) == 0)
        value = next(fitting, left[0])
        left.remove(value)
        yield value
        offset = round_up(offset, alignment(value[1])) + value[1].size


def place(values: Iterable[Value], offset: int = 0) -> tuple[tuple[Slot, ...], int]:
    """Return slots from `offset` on for names, storages and limits, and where they end."""
    slots: list[Slot] = []
    for name, storage, limit in values:
        offset = round_up(offset, alignment(storage))
        slots.append(Slot(name, storage, offset, limit))
        offset += storage.size
    return tuple(slots), offset


def alignment(storage: Storage) -> int:
    """Return on how many bytes a value lies: arrays of bytes are compared and copied in words."""
    return 8 if storage.array else storage.size


def round_up(size: int, step: int) -> int:
    """Return the smallest multiple of `step` that is not below `size`."""
    return -(-size // step) * step
