"""What may be missed although nothing is wrong; Plan.warnings has what never happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from etracee.catalog import Field
from etracee.catalog.model import PartOf
from etracee.engine.windows import MOST_INSTANCES
from etracee.event import EventLayout
from etracee.expr.tree import Reference, Test, Tree, leaves
from etracee.plan import EventPlan, Plan, RulePlan
from etracee.plan.warnings import filters_of, place_of, texts_of
from etracee.problems import Problem, name_some
from etracee.profile.written import Located
from etracee.rules import Rule
from etracee.source import Path_
from etracee.source_set import SourceSet
from etracee.types import Kind
from etracee.types.number import Number

LONGEST_NAME = 4096
"""Bytes of the longest name that a call takes: PATH_MAX, include/uapi/linux/limits.h."""


def find_doubts(source: SourceSet, plan: Plan) -> Iterator[Problem]:
    """Yield siblings left out, ends of texts that may be cut, and keys without a limit."""
    watched = [event.name for event in source.profile.events.values()]
    decided = (*source.profile.events, *source.profile.off)
    for doubt in _siblings(plan, watched, "the profile watches", decided):
        yield replace(doubt, hint=f"{doubt.hint}; `NAME: off` leaves one out on purpose")
    for event in plan.events:
        places = filters_of(source.profile, event.name)
        yield from _cut_ends(event.filters, event.layout, places)
        if event.counting:
            yield from _idle_fields(event, source.profile.events[event.name].fields or ())
    layouts = {event.name: event.layout for event in plan.events}
    for written, rule in zip(source.rules.rules, plan.rules, strict=True):
        yield from _of_rule(plan, written, rule, layouts)


def _idle_fields(event: EventPlan, fields: Sequence[Located]) -> Iterator[Problem]:
    if fields:
        shown = "shown in alerts only" if event.is_sent else "not captured"
        message = f"{event.name} is counted: what its `fields` name is {shown}"
        yield Problem(fields[0].place(), message, "count by them, or set `mode: events`")


def _of_rule(
    plan: Plan, written: Rule, rule: RulePlan, layouts: dict[str, EventLayout]
) -> Iterator[Problem]:
    for step, planned in zip(written.steps, rule.steps, strict=True):
        who = f"rule {rule.id} looks at"
        yield from _siblings(plan, step.events, who, planned.conditions)
        for name, tree in planned.conditions.items():
            if name in layouts:
                yield from _cut_ends(tree, layouts[name], texts_of(written, step))
    for window in (written.window, written.at_most):
        if window is not None:
            yield from _keys(plan, rule, window.by)


def _siblings(
    plan: Plan, written: Sequence[Located], who: str, names: Iterable[str]
) -> Iterator[Problem]:
    """Yield the events that do the same as one of `names`, and are not among them.

    Those of one place are told together: a family may have many siblings.
    """
    watched = set(names)
    found: dict[Path_, tuple[Located, dict[str, None]]] = {}
    for group in plan.catalog.siblings:
        lacking = [name for name in group if name not in watched and name in plan.catalog.events]
        event = next((event for event in written if event.text in group), None)
        if lacking and event is not None:
            found.setdefault(event.path, (event, {}))[1].update(dict.fromkeys(lacking))
    for event, others in found.values():
        named = event.path[-1] if isinstance(event.path[-1], str) else event.text
        do = "does" if len(others) == 1 else "do"
        same = "the same" if named == event.text else "the same as some of it"
        message = f"{who} {named} without {name_some(list(others))}, which {do} {same}"
        yield Problem(event.key_place(), message, _naming(plan, event.text, others))


def _naming(plan: Plan, event: str, others: Iterable[str]) -> str:
    """Return how an event and the others that do the same are named shortly."""
    for family, members in plan.catalog.families.items():
        if {event, *others} <= set(members):
            return f"${family} names all of them"
    return "`etracee list families` shows them"


def _cut_ends(tree: Tree, layout: EventLayout, texts: Sequence[Located]) -> Iterator[Problem]:
    """Yield fields of which only the beginning is captured, and whose end is compared."""
    tests: dict[Field, dict[Test, None]] = {}
    for test in leaves(tree):
        if isinstance(test, Test) and _needs_end(test) and _limit(test.field, layout):
            tests.setdefault(test.field, {})[test] = None
    for field, of_field in tests.items():
        first, *more = of_field
        what = f"`{first.text}`{f' and {len(more)} more' if more else ''}"
        message = f"{what}: of {field.name}, {_limit(field, layout)} bytes are captured, and the "
        message += "end of a longer one is not known: false, and counted"
        option = "max_argv" if isinstance(field.origin, PartOf) else "max_string"
        yield Problem(place_of([first], texts), message, f"raise options.{option}, up to 4096")


def _needs_end(test: Test) -> bool:
    is_known = not isinstance(test.constant, Reference)
    return is_known and test.operator.needs_end(test.constant)


def _limit(field: Field, layout: EventLayout) -> int | None:
    """Return the bytes at which an option cuts a text, None where it is not cut."""
    slot = next((slot for slot in layout.variable if slot.name == field.holder), None)
    is_chosen = slot is not None and field.kind is Kind.TEXT and field.type.most is None
    return slot.limit if slot and is_chosen and slot.limit < LONGEST_NAME else None


def _keys(plan: Plan, rule: RulePlan, by: Iterable[Located]) -> Iterator[Problem]:
    many = [key for key in by if any(_has_many(f) for f in _fields(plan, rule, key.text))]
    if many:
        names = ", ".join(key.text for key in many)
        message = f"rule {rule.id} keeps state for each {names}, of which there may be many"
        bound = f"it is kept for {MOST_INSTANCES:,} at a time, and the oldest is forgotten"
        yield Problem(many[0].place(), message, bound)


def _fields(plan: Plan, rule: RulePlan, name: str) -> Iterator[Field]:
    for event in rule.events:
        fields = {**plan.catalog.context, **plan.catalog.events[event].fields}
        if name in fields:
            yield fields[name]


def _has_many(field: Field) -> bool:
    """Say whether a field has more values than state is kept for."""
    if field.name in _FEW:
        return False
    if field.kind is Kind.NUMBER:
        return isinstance(field.type, Number)
    return field.kind is Kind.ADDRESS or field.type.storage.variable


_FEW = ("uid", "gid", "euid", "egid", "user.name", "group.name", "container.runtime")
"""Numbers and texts that are many by their type, and few on a host."""
