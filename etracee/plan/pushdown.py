"""Fourth pass: separate what the kernel decides, and put the cheapest test first."""

from __future__ import annotations

from etracee.catalog import Field
from etracee.catalog.model import PartOf
from etracee.event import EventLayout
from etracee.expr.cform import c_form_of
from etracee.expr.split import widen
from etracee.expr.tree import YES, AllOf, Test, Tree, both, either, leaves
from etracee.plan.demand import Demand
from etracee.plan.model import EventPlan
from etracee.plan.values import operands_of


def push_down(demand: Demand, layout: EventLayout) -> EventPlan:
    """Return the event's plan: kernel tests, the captures each of them needs, and Python's rest."""
    event = demand.event
    operands = operands_of(layout)

    def has_c(test: Test) -> bool:
        return c_form_of(test, operands) is not None

    wanted = event.keep if event.delivered else both(event.keep, either(*event.rules.values()))
    kernel = widen(wanted, has_c)
    early_test, late_test = _cheap_first(kernel)
    early, late = (_needed(demand, test) for test in (early_test, late_test))
    ordered = dict.fromkeys((*early, *late, *demand.captures))
    return EventPlan(
        type=event.type,
        layout=_in_order(layout, tuple(ordered)),
        captures=tuple(ordered),
        early=len(early),
        early_test=early_test,
        late=len(dict.fromkeys((*early, *late))) if late_test != YES else len(early),
        late_test=late_test,
        keep=YES if widen(event.keep, has_c) == event.keep else event.keep,
        shown=event.shown,
        rules=tuple(event.rules),
        delivered=event.delivered,
    )


def _cheap_first(kernel: Tree) -> tuple[Tree, Tree]:
    """Split a conjunction: what needs no user memory, and the rest."""
    parts = kernel.parts if isinstance(kernel, AllOf) else (kernel,)
    cheap = [part for part in parts if all(_is_cheap(leaf) for leaf in leaves(part))]
    dear = [part for part in parts if part not in cheap]
    return both(*cheap), both(*dear)


def _is_cheap(leaf: Tree) -> bool:
    if not isinstance(leaf, Test):
        return True
    origin = leaf.field.origin
    return not isinstance(origin, PartOf) and not leaf.field.type.storage.variable


def _needed(demand: Demand, test: Tree) -> list[Field]:
    names = {
        leaf.field.origin.whole if isinstance(leaf.field.origin, PartOf) else leaf.field.name
        for leaf in leaves(test)
        if isinstance(leaf, Test)
    }
    return [field for field in demand.captures if field.name in names]


def _in_order(layout: EventLayout, captures: tuple[Field, ...]) -> EventLayout:
    """Put the variable slots into the order of their capture, which is that of their bytes."""
    rank = {field.name: number for number, field in enumerate(captures)}
    fixed = [slot for slot in layout.slots if not slot.storage.variable]
    variable = sorted(layout.variable, key=lambda slot: rank[slot.name])
    return EventLayout(layout.event, layout.index, (*fixed, *variable), layout.size)
