"""Last pass: what can be said of rules and filters once they are known to be right.

What is found here stands in Plan.warnings: it says that something never happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from etracee.catalog import EventType
from etracee.catalog.model import PartOf
from etracee.event import EventLayout
from etracee.expr.check import too_long
from etracee.expr.contradiction import contradiction_in
from etracee.expr.tree import Literal, Reference, Test, Tree, both, leaves
from etracee.plan.findings import report_for
from etracee.plan.model import RulePlan, StepPlan
from etracee.plan.resolve import Resolved
from etracee.problems import Place, Problem
from etracee.profile import Profile
from etracee.profile.written import Located
from etracee.rules import Rule, RuleSet
from etracee.rules.model import Step
from etracee.types import Kind


def find_warnings(
    profile: Profile, rules: RuleSet, resolved: Resolved, layouts: Iterable[EventLayout]
) -> Iterator[Problem]:
    """Yield what can never happen: an event, a rule, a comparison of an argument."""
    keep = {event.type.name: event.keep for event in resolved.events}
    rooms = {}
    for event, layout in zip(resolved.events, layouts, strict=True):
        name = event.type.name
        if event.delivered or event.counted:
            yield from _of_filter(profile, name, event.keep)
        rooms[name] = _room(event.type, layout)
        yield from _too_long(event.keep, rooms[name], filters_of(profile, name))
    for written, rule in zip(rules.rules, resolved.rules, strict=True):
        yield from _of_rule(written, rule, keep)
        for step, planned in zip(written.steps, rule.steps, strict=True):
            for name, tree in planned.conditions.items():
                yield from _too_long(tree, rooms.get(name, {}), texts_of(written, step))


def filters_of(profile: Profile, event: str) -> tuple[Located, ...]:
    """Return the filters that the profile has for an event; the command line's have no place."""
    watched = profile.events.get(event)
    own = (watched.filter,) if watched and watched.filter else ()
    return (*own, *profile.filters)


def texts_of(rule: Rule, step: Step) -> tuple[Located, ...]:
    """Return where the condition of a step is written, and the exceptions to it."""
    condition = (step.condition,) if step.condition else ()
    return (*condition, *rule.exceptions, rule.id)


def place_of(tests: Iterable[Test], texts: Sequence[Located]) -> Place | None:
    """Return where one of the tests is written, in the first text that has one.

    What a macro says is not in the text: the text's own place is returned then.
    """
    words = [test.text for test in tests]
    for located in texts:
        for word in words:
            if word in located.text:
                return report_for(located).place(located.text.index(word))
    return texts[0].place() if texts else None


def _of_filter(profile: Profile, event: str, keep: Tree) -> Iterator[Problem]:
    clash = contradiction_in(keep)
    if clash:  # without a comparison it is left out by `type`, or by a field that it lacks
        place = _place_of_clash(clash, filters_of(profile, event))
        yield Problem(place, f"no event {event} can pass the filters{_because(clash)}")


def _of_rule(written: Rule, rule: RulePlan, keep: Mapping[str, Tree]) -> Iterator[Problem]:
    """Yield the first step that no event can be: without it the rule never fires."""
    for number, (step, planned) in enumerate(zip(written.steps, rule.steps, strict=True)):
        found = _why_never(planned, keep) if planned.conditions else None
        if found is not None:
            clash, by_filter = found
            which = f", since its step {number + 1} never happens" if len(rule.steps) > 1 else ""
            filters = " behind the filters" if by_filter else ""
            yield Problem(
                _place_of_clash(clash, texts_of(written, step)),
                f"rule {rule.id} can never fire{filters}{which}{_because(clash)}",
                "rules see only what the filters keep" if by_filter else None,
            )
            return


def _why_never(step: StepPlan, keep: Mapping[str, Tree]) -> tuple[tuple[Literal, ...], bool] | None:
    """Return what excludes each other for every event of the step, and whether filters do."""
    filtered = []
    for event, tree in step.conditions.items():
        clash = contradiction_in(both(keep[event], tree)) if event in keep else None
        if clash is None:
            return None
        filtered.append(clash)
    alone = [contradiction_in(tree) for tree in step.conditions.values()]
    by_filter = None in alone
    clashes = filtered if by_filter else [clash for clash in alone if clash is not None]
    return max(clashes, key=bool), by_filter


def _place_of_clash(clash: Sequence[Literal], texts: Sequence[Located]) -> Place | None:
    return place_of((literal.test for literal in clash), texts)


def _because(clash: Sequence[Literal]) -> str:
    shown = [str(literal) for literal in clash[:_SHOWN]]
    if not shown:
        return ": none of its events is, or has, what is asked for"
    if len(shown) == 1:
        return f": {shown[0]} is never true"
    return f": {', '.join(shown[:-1])} and {shown[-1]} exclude each other"


_SHOWN = 4
"""Comparisons of a contradiction that are named; more than two are rare."""


def _room(event: EventType, layout: EventLayout) -> Mapping[str, int]:
    """Return how long a text may be of each field that lies in a vector, its NUL apart."""
    lists = {name for name, field in event.fields.items() if field.kind is Kind.TEXTS}
    vectors = {slot.name: slot.limit - 1 for slot in layout.variable if slot.name in lists}
    parts = {
        field.name: vectors[field.origin.whole]
        for field in event.fields.values()
        if isinstance(field.origin, PartOf) and field.origin.whole in vectors
    }
    return {**vectors, **parts}


def _too_long(tree: Tree, room: Mapping[str, int], texts: Sequence[Located]) -> Iterator[Problem]:
    """Yield comparisons of what lies in a vector with more than is captured of it.

    A text of its own is captured as far as it is compared.
    """
    for test in leaves(tree):
        if isinstance(test, Test) and not isinstance(test.constant, Reference):
            name, length = test.field.name, test.operator.longest(test.constant)
            if length > room.get(name, length):
                message = f"{name} is captured up to {room[name]} bytes, the value has {length}"
                never = too_long(test.operator.symbol)
                hint = "raise options.max_argv, up to 4096"
                yield Problem(place_of([test], texts), f"{message}: {never}", hint)
