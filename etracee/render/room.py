"""What becomes of records: who may still put one into a ring that is nearly full."""

from __future__ import annotations

from etracee.fragments import C, c, c_int
from etracee.plan import EventPlan, Plan


def bytes_for_all(plan: Plan) -> int:
    """Return how many bytes of the ring are for all; 0 where nothing gives way."""
    gives_way = any(event.gives_way and event.is_sent for event in plan.events)
    return plan.options.ring_buffer // 4 * 3 if gives_way else 0


def name_ending(event: EventPlan, *, weighs: bool) -> str:
    """Return the template for a record that the kernel wants."""
    if not event.is_sent:
        return "counted.c.j2"
    return "weigh.c.j2" if weighs else "send.c.j2"


def refused_if(event: EventPlan) -> C:
    """Return the test, with an operator behind it, of whether a record gives way to others.

    To ask the ring costs 9 ns. Where no record stays, one in eight asks: one that is refused is
    not sent, so that all that follow it ask too.
    """
    if not event.gives_way:
        return C("")
    if not event.stays_for:
        return C("(!(count->sent & 7) && is_nearly_full()) || ")
    stays = c("*(const volatile u64 *)&r->rules & {bits}", bits=c_int(event.stays_for))
    return c("(!({stays}) && is_nearly_full()) || ", stays=stays)
