"""Play the tests and scenarios of rule files: no kernel, no root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etracee.problems import Place, Problem, ProblemsError, did_you_mean, printable, wrong
from etracee.profile.written import Located
from etracee.rules import Rule
from etracee.rules.model import RuleTest, Scenario, TestEvent
from etracee.testing.compiled import Compiled, Played
from etracee.testing.explain import Explainer
from etracee.testing.values import Values, read_values

_MOST_EVENTS = 200_000
"""Events that one test may play, repetitions counted."""
_MOST_ALERTS = 5
"""Alerts of a failed test that are shown."""


@dataclass(frozen=True)
class Failure:
    """Why a test failed: what is wrong, and lines that say how it came to that."""

    problems: tuple[Problem, ...]
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(
            [*map(str, self.problems), *(f"    {printable(line)}" for line in self.details)]
        )


def play_test(compiled: Compiled, rule: Rule, test: RuleTest) -> Failure | None:
    """Play one test of a rule; return why it failed, None when it passed."""
    try:
        events = _read(compiled, test)
        _check_events(compiled, rule, test)
    except ProblemsError as error:
        return Failure(error.problems)
    index = compiled.indices[rule.id.text]
    open_before = compiled.left_open(index)
    engine, played = compiled.play(events, test.repeat, _nanoseconds(test.every), index)
    if len(played) == test.alerts:
        return None
    explainer = Explainer(compiled, index, events, test.repeat)
    details = [*_shown(events, played)]
    if len(played) < test.alerts:
        details += explainer.explain()
    if held_back := engine.suppressed[rule.id.text]:
        details.append(f"held back by at_most: {held_back}")
    if compiled.left_open(index) > open_before:
        details.append("a cut value leaves the answer open, so it counts as no")
    message = _describe(rule, test, events, len(played))
    return Failure((Problem(test.where.place(), message),), tuple(details))


def play_scenario(compiled: Compiled, scenario: Scenario) -> Failure | None:
    """Play a scenario over all rules; return why it failed, None when it passed.

    Alerts come in the order of the events; those of one event in any order.
    """
    try:
        _check_rules(compiled, scenario)
        events = _read(compiled, scenario)
    except ProblemsError as error:
        return Failure(error.problems)
    _, played = compiled.play(events, scenario.repeat, _nanoseconds(scenario.every))
    if _agree(scenario.alerts, played):
        return None
    found = ", ".join(one.alert.rule for one in played[:20]) or "none"
    more = f" and {len(played) - 20} more" if len(played) > 20 else ""
    message = f"scenario {scenario.name!r}: the alerts are {found}{more}"
    wanted = ", ".join(scenario.alerts) or "none"
    problem = Problem(scenario.where.below("alerts").place(), message, f"expected: {wanted}")
    details = [*_shown(events, played)]
    missing = Counter(scenario.alerts) - Counter(one.alert.rule for one in played)
    for name in missing:
        explainer = Explainer(compiled, compiled.indices[name], events, scenario.repeat)
        details += [f"{name}:", *(f"  {line}" for line in explainer.explain())]
    return Failure((problem,), tuple(details))


def _agree(wanted: Sequence[str], played: Sequence[Played]) -> bool:
    """Say whether the alerts are those wanted; `wanted` may order those of one event at will."""
    if len(wanted) != len(played):
        return False
    times = [(one.alert.timestamp, one.event) for one in played]
    found = Counter(zip(times, (one.alert.rule for one in played), strict=True))
    return found == Counter(zip(times, wanted, strict=True))


def _read(compiled: Compiled, test: RuleTest | Scenario) -> list[Values]:
    """Return the values of all events; ProblemsError with all that is wrong in them."""
    events: list[Values] = []
    problems: list[Problem] = []
    for event in test.events:
        try:
            events.append(read_values(event, compiled.catalog))
        except ProblemsError as error:
            problems += error.problems
    problems += _too_much(test, events)
    if problems:
        raise ProblemsError(problems)
    return events


def _too_much(test: RuleTest | Scenario, events: Sequence[Values]) -> Iterator[Problem]:
    where = test.where.below("repeat").place()
    if test.repeat > 1 and any(event.time is not None for event in events):
        yield Problem(where, "repeat: events with a timestamp cannot be repeated")
    if test.repeat * len(events) > _MOST_EVENTS:
        yield Problem(where, f"repeat: more than {_MOST_EVENTS} events are played")


def _check_events(compiled: Compiled, rule: Rule, test: RuleTest) -> None:
    """Refuse a test none of whose events the rule looks at: it could not fail as it should."""
    known = compiled.plan.rules[compiled.indices[rule.id.text]].events
    if not any(event.type in known for event in test.events):
        event = test.events[0]
        hint = did_you_mean(event.type, known) or f"it has {', '.join(known)}"
        message = f"{rule.id.text} has no event {event.type!r}"
        raise wrong(_type_place(event), message, hint)


def _check_rules(compiled: Compiled, scenario: Scenario) -> None:
    problems = []
    for number, name in enumerate(scenario.alerts):
        if name not in compiled.indices:
            hint = did_you_mean(name, compiled.indices) or "disabled ones and other files count not"
            where: Located = scenario.where.below("alerts", number)
            problems.append(Problem(where.place(), f"no rule {name!r} is loaded", hint))
    if problems:
        raise ProblemsError(problems)


def _type_place(event: TestEvent) -> Place | None:
    return event.where.below("type").place()


def _describe(rule: Rule, test: RuleTest, events: Sequence[Values], found: int) -> str:
    name = rule.id.text
    if len(events) == 1 and test.repeat == 1 and test.alerts < 2:
        wanted, came = ("fire", "does not") if test.alerts else ("stay quiet", "fires")
        return f"{name} should {wanted} on this {events[0].type}, but {came}"
    played = len(events) * test.repeat
    return f"{name} gives {_alerts(found)} on these {played} events, {test.alerts} expected"


def _alerts(count: int) -> str:
    return f"{count} alert{'s' * (count != 1)}" if count else "no alert"


def _shown(events: Sequence[Values], played: Sequence[Played]) -> Iterator[str]:
    for one in played[:_MOST_ALERTS]:
        number, name = one.event + 1, events[one.event].type
        yield f"alert of {one.alert.rule} on event {number} ({name}): {one.alert.message}"
    if len(played) > _MOST_ALERTS:
        yield f"and {len(played) - _MOST_ALERTS} more alerts"


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
