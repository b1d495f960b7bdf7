"""Which fields a record has, and for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from etracee.catalog import Field
from etracee.catalog.model import NOT_IN_RECORDS
from etracee.explain.model import Captured, Reader
from etracee.expr.check import check
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import Test, Tree, leaves
from etracee.plan import EventPlan, Plan, RulePlan
from etracee.plan.model import CountPlan, Match


def captured(plan: Plan, event: EventPlan) -> tuple[Captured, ...]:
    """Return the fields of an event's record, in the order of their capture."""
    wanted: dict[str, dict[str | None, dict[str, None]]] = {f.name: {} for f in event.captures}
    for rule, use, field in _uses(plan, event):
        for whole in field.wholes:
            as_part = "" if whole == field.name else f" as {field.name}"
            wanted[whole].setdefault(rule, {})[f"{use}{as_part}"] = None
    return tuple(
        Captured(
            name=field.name,
            type=field.type.doc,
            bytes=slot.size,
            limit=slot.limit,
            source=field.source.value,
            readers=tuple(Reader(rule, tuple(uses)) for rule, uses in wanted[field.name].items()),
        )
        for field in event.captures
        for slot in [event.layout.slot(field.name)]
    )


Use = tuple[str | None, str, Field]
"""The id of a rule, or None, what it does with a field, and the field."""


def _uses(plan: Plan, event: EventPlan) -> Iterator[Use]:
    yield from _uses_to_show(event)
    for field in event.feeds.fields if event.feeds else ():
        yield None, "table of processes", field
    if event.counting is not None:
        yield from _uses_of_key(event.counting)
    for field in _fields_in(event.filters):
        yield None, "filter", field
    for match in event.matches:
        yield from _uses_of_rule(plan.rules[match.rule], match, event.name)


def _uses_to_show(event: EventPlan) -> Iterator[Use]:
    shown = "shown" if event.delivered else "shown in alerts"
    for field in event.shown:
        if not isinstance(field.origin, NOT_IN_RECORDS):
            yield None, shown, field
        if field.implied is not None:
            for part in _fields_in(_implied(event, field.implied)):
                yield None, f"{shown} for {field.name}", part


def _uses_of_key(counting: CountPlan) -> Iterator[Use]:
    for part in counting.parts:
        if not isinstance(part.field.origin, NOT_IN_RECORDS):
            yield None, "count key", part.field
        for field in _fields_in(part.implied):
            yield None, f"count key {part.field.name}", field


def _uses_of_rule(rule: RulePlan, match: Match, event: str) -> Iterator[Use]:
    for field in _fields_in(rule.steps[match.step].conditions[event]):
        yield rule.id, "condition", field
    windows = [window for window in (rule.window, rule.at_most) if window]
    keys = {name for window in windows for name in (*window.by, window.distinct)}
    shown = {piece.text.rpartition(".")[2] for piece in rule.output if piece.is_field}
    for field in match.reads:
        uses = {"key": keys, "later step": match.referenced, "output": shown}
        for use, names in uses.items():
            if field.name in names and not isinstance(field.origin, NOT_IN_RECORDS):
                yield rule.id, use, field


def _fields_in(tree: Tree) -> Iterable[Field]:
    return dict.fromkeys(leaf.field for leaf in leaves(tree) if isinstance(leaf, Test))


def _implied(event: EventPlan, expression: str) -> Tree:
    scope = scope_of([event.type], {}, {})
    return check(expression, scope, Report(lambda _: None))[event.name]
