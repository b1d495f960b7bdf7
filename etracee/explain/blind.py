"""What a plan does not see of what it is for."""

from __future__ import annotations

from collections.abc import Iterator

from etracee.plan import Plan
from etracee.plan.attach import UNSEEN_BY_FUNCTIONS
from etracee.render.abi import is_abi_read


def find_blind(plan: Plan) -> Iterator[str]:
    """Yield what does the same as what is watched, and is not seen by anybody."""
    if any(event.type.abi_calls and not event.is_abi_told for event in plan.events):
        who = f"{plan.catalog.abi} programs, and of others that make such calls"
        yield f"32-bit calls of {who}: only programs are counted (options.compat: decode)"
    if plan.attach == "fentry":
        yield UNSEEN_BY_FUNCTIONS
    yield from _unread(plan)
    yield from _requests(plan)


def _unread(plan: Plan) -> Iterator[str]:
    """Yield what is asked for and null of 32-bit calls, since it lies otherwise in memory there."""
    unread = [
        f"{event.name}.{field.name}"
        for event in plan.events
        for field in event.captures
        if event.is_abi_told and not is_abi_read(field)
    ]
    if unread:
        yield f"of 32-bit calls, which lie otherwise in memory: {', '.join(unread)}"


def _requests(plan: Plan) -> Iterator[str]:
    """Yield what the kernel cannot show; what it can and is not watched, is warned of."""
    names = {event.name for event in plan.events}
    same = {name for group in plan.catalog.siblings if names.intersection(group) for name in group}
    for name, why in plan.catalog.unseen.items():
        if name in same:
            yield f"{name}, which this kernel cannot show: {why}"
    untold = plan.catalog.untold
    watched = [f"{e.name} ({untold[e.name]})" for e in plan.events if e.name in untold]
    if watched:
        yield f"what io_uring does of {', '.join(watched)}: such requests are no events"
