"""Thresholds, sequences and rate limits against models that keep everything they have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etracee.engine.alerts import Engine
from etracee.engine.windows import MOST_EVENTS, MOST_INSTANCES
from etracee.event import Alert, Event

WITHIN = 10
"""ns"""


class Made(Event):
    """An event as the decoder makes it; `number` tells it from others."""

    timestamp: object
    human_time: object
    type: object
    number: object


@dataclass(frozen=True)
class Occurrence:
    """An event: its time, what it is, the steps that it can be, and its values."""

    time: int
    type: str
    steps: tuple[int, ...]
    values: Mapping[str, Any]


def rule(name: str = "r", **parts: Any) -> dict[str, Any]:
    """Return a rule as the decoder gives it to the engine."""
    plain = {
        "id": name,
        "title": "Title",
        "level": "high",
        "tags": (),
        "output": (("Title", False),),
        "steps": ((None, (), {}),),
        "window": None,
        "at_most": None,
        "actions": ("alert",),
    }
    return {**plain, **parts}


def feed(
    engine: Engine, occurrences: Iterable[Occurrence], index: int = 0, start: int = 0
) -> list[list[Alert]]:
    """Return the alerts of each occurrence."""
    found = []
    for number, it in enumerate(occurrences, start):
        event = Made(str(it.time), "", it.type, number)
        hits = [(index, step, it.values) for step in it.steps]
        found.append(list(engine.alerts(event, hits)))
    return found


def numbers(alert: Alert) -> list[Any]:
    return [getattr(event, "number") for event in alert.events]  # noqa: B009


@st.composite
def histories(draw: st.DrawFn, steps: int = 1) -> list[Occurrence]:
    """Return occurrences in the order of time; many are near the edges of the window."""
    time, found = 0, []
    some = st.sampled_from([None, 0, 1])
    others = st.sampled_from([None, b"x", 0, ["x"], ["x", "y"]])
    possible = st.lists(st.sampled_from(range(steps)), min_size=1, unique=True).map(tuple)
    for _ in range(draw(st.integers(1, 40))):
        time += draw(st.sampled_from([0, 1, 2, 3, WITHIN - 1, WITHIN, WITHIN + 1]))
        values = {"uid": draw(some), "a": draw(others), "b": draw(others)}
        kind = draw(st.sampled_from(["openat", "execve"]))
        found.append(Occurrence(time, kind, draw(possible), values))
    return found


def key_of(occurrence: Occurrence, by: Sequence[str]) -> tuple[str, ...]:
    return tuple(repr(occurrence.values[name]) for name in by)


def equal(one: object, other: object) -> bool:
    return one is not None and one == other


keys = st.sampled_from([(), ("uid",), ("uid", "a")])


def counted(
    history: Sequence[Occurrence], count: int, by: Sequence[str], distinct: str | None
) -> list[tuple[int, list[int]] | None]:
    """Return, for each event, the count and the events of the alert that it gives."""
    seen: dict[tuple[str, ...], list[int]] = {}
    answers: list[tuple[int, list[int]] | None] = []
    for number, it in enumerate(history):
        answers.append(None)
        if distinct and it.values[distinct] is None:
            continue
        kept = seen.setdefault(key_of(it, by), [])
        kept.append(number)
        recent = [n for n in kept if it.time - history[n].time <= WITHIN]
        found = len({repr(history[n].values[distinct]) for n in recent} if distinct else recent)
        if found >= count:
            answers[-1] = (found, recent)
            kept.clear()
    return answers


@given(histories(), st.integers(2, 4), keys, st.sampled_from([None, "a", "b"]))
def test_threshold(
    history: list[Occurrence], count: int, by: tuple[str, ...], distinct: str | None
) -> None:
    """It fires on the event that completes the count, and then counts that key anew."""
    engine = Engine([rule(window=(count, WITHIN, by, distinct))], {})
    expected = counted(history, count, by, distinct)
    for it, found, wanted in zip(history, feed(engine, history), expected, strict=True):
        if wanted is None:
            assert found == []
            continue
        (alert,) = found
        assert alert.count == wanted[0] == count
        assert alert.key is not None
        assert {n: v for n, v in alert.key.items() if v is None} == {
            n: None for n in by if it.values[n] is None
        }
        assert list(alert.key) == list(by)
        if distinct is None:
            assert numbers(alert) == wanted[1]
        assert set(numbers(alert)) <= set(wanted[1])
    assert engine.fired["r"] == sum(wanted is not None for wanted in expected)
    assert not engine.evicted["r"]


def test_alert_carries_the_last_events() -> None:
    engine = Engine([rule(window=(MOST_EVENTS + 5, WITHIN, (), None))], {})
    history = [Occurrence(0, "openat", (0,), {})] * (MOST_EVENTS + 5)
    (alert,) = feed(engine, history)[-1]
    assert numbers(alert) == list(range(5, MOST_EVENTS + 5))
    assert alert.count == MOST_EVENTS + 5


STEPS = (
    ("first", (), {}),
    ("second", (("a", "first", "a"),), {}),
    (None, (("b", "first", "b"),), {"execve": lambda v, s: v["uid"] != s["first"]["uid"]}),
)
"""The second has an `a` in common with the first; the third a `b`, and, for execve, another uid."""


@dataclass
class Instance:
    """A sequence under way: the numbers of its events."""

    events: list[int] = field(default_factory=list)


def follows(history: Sequence[Occurrence], instance: Instance, number: int, step: int) -> bool:
    """Say whether event `number` is `step` of the instance, as STEPS has it."""
    first, it = history[instance.events[0]], history[number]
    if step == 1:
        return equal(it.values["a"], first.values["a"])
    joined = equal(it.values["b"], first.values["b"])
    return joined and (it.type != "execve" or it.values["uid"] != first.values["uid"])


def completed(
    history: Sequence[Occurrence], by: Sequence[str], steps: int
) -> list[list[list[int]]]:
    """Return, for each event, the sequences that it completes."""
    instances: list[Instance] = []
    answers = []
    for number, it in enumerate(history):
        done = []
        for instance in instances:
            first, step = history[instance.events[0]], len(instance.events)
            in_time = it.time - first.time <= WITHIN and key_of(it, by) == key_of(first, by)
            if in_time and step in it.steps and follows(history, instance, number, step):
                instance.events.append(number)
                if len(instance.events) == steps:
                    done.append(instance)
        instances = [instance for instance in instances if instance not in done]
        if 0 in it.steps:
            instances.append(Instance([number]))
        answers.append([instance.events for instance in done])
    return answers


@given(histories(steps=3), keys, st.integers(2, 3))
def test_sequence(history: list[Occurrence], by: tuple[str, ...], steps: int) -> None:
    """Others may come between; one event serves one step of each instance."""
    engine = Engine([rule(steps=STEPS[:steps], window=(1, WITHIN, by, None))], {})
    history = [
        Occurrence(it.time, it.type, tuple(s for s in it.steps if s < steps), it.values)
        for it in history
    ]
    expected = completed(history, by, steps)
    for found, wanted in zip(feed(engine, history), expected, strict=True):
        assert len(found) == bool(wanted)
        for alert in found:
            assert alert.count == len(wanted)
            assert numbers(alert) in wanted
    assert not engine.evicted["r"]


@given(histories(), st.integers(1, 3), keys)
def test_at_most(history: list[Occurrence], count: int, by: tuple[str, ...]) -> None:
    """Of the alerts of a key, only so many pass within the time; the others are counted."""
    engine = Engine([rule(at_most=(count, WITHIN, by, None))], {})
    passed: dict[tuple[str, ...], list[int]] = {}
    held_back = 0
    for it, found in zip(history, feed(engine, history), strict=True):
        times = passed.setdefault(key_of(it, by), [])
        allowed = sum(it.time - time <= WITHIN for time in times) < count
        assert len(found) == allowed
        times += [it.time] if allowed else []
        held_back += not allowed
    assert engine.suppressed["r"] == held_back


def _shown(alerts: list[list[Alert]]) -> list[list[tuple[int, list[Any]]]]:
    return [[(alert.count, numbers(alert)) for alert in found] for found in alerts]


RULES = (
    rule(window=(2, WITHIN, ("uid",), None)),
    rule(window=(3, WITHIN, (), "a")),
    rule(window=(1, WITHIN, (), None), steps=STEPS[:2]),
    rule(window=(1, WITHIN, ("uid",), None), steps=STEPS),
    rule(at_most=(1, WITHIN, ("uid",), None)),
    rule(window=(2, WITHIN, (), None), at_most=(1, WITHIN, (), None)),
)


def _of(rule: Mapping[str, Any], history: Iterable[Occurrence]) -> list[Occurrence]:
    """Leave out the steps that the rule does not have."""
    known = range(len(rule["steps"]))
    return [
        Occurrence(it.time, it.type, tuple(s for s in it.steps if s in known), it.values)
        for it in history
    ]


@pytest.mark.parametrize("kept", RULES)
@settings(max_examples=50)
@given(histories(steps=3), st.integers(0, 40))
def test_a_reload_forgets_no_window(
    kept: dict[str, Any], history: list[Occurrence], cut: int
) -> None:
    """Another title and other rules around it: the rule goes on as if nothing had been."""
    history = _of(kept, history)
    whole = Engine([kept], {})
    old = Engine([rule("gone"), kept], {})
    new = Engine([{**kept, "title": "New"}, rule("new")], {})
    before = feed(old, history[:cut], index=1)
    new.take_over(old)
    after = feed(new, history[cut:], index=0, start=cut)
    assert _shown(before + after) == _shown(feed(whole, history))
    assert {alert.title for found in after for alert in found} <= {"New"}
    assert new.fired["r"] == whole.fired["r"]
    assert new.suppressed == whole.suppressed


CHANGES = (
    (RULES[0], {"window": (3, WITHIN, ("uid",), None)}),
    (RULES[0], {"window": (2, WITHIN + 1, ("uid",), None)}),
    (RULES[0], {"window": (2, WITHIN, (), None)}),
    (RULES[1], {"window": (3, WITHIN, (), "b")}),
    (RULES[2], {"steps": STEPS}),
    (RULES[2], {"steps": (STEPS[0], ("second", (), {}))}),
    (RULES[4], {"at_most": (1, WITHIN, (), None)}),
    (RULES[0], {"id": "other"}),
)


@pytest.mark.parametrize(("was", "change"), CHANGES)
@settings(max_examples=30)
@given(histories(steps=3), st.integers(0, 40))
def test_a_reload_begins_anew_what_has_changed(
    was: dict[str, Any], change: dict[str, Any], history: list[Occurrence], cut: int
) -> None:
    becomes = {**was, **change}
    old, new, fresh = Engine([was], {}), Engine([becomes], {}), Engine([becomes], {})
    feed(old, _of(was, history[:cut]))
    new.take_over(old)
    rest = _of(becomes, history[cut:])
    assert _shown(feed(new, rest)) == _shown(feed(fresh, rest))


def test_keys_are_bounded() -> None:
    """The key that was touched longest ago is forgotten, and only that."""
    engine = Engine([rule(window=(2, WITHIN, ("uid",), None))], {})
    feed(engine, (Occurrence(0, "openat", (0,), {"uid": n}) for n in range(MOST_INSTANCES + 1)))
    assert engine.evicted["r"] == 1
    again = [Occurrence(0, "openat", (0,), {"uid": n}) for n in (1, 0)]
    assert [len(found) for found in feed(engine, again)] == [1, 0]


def test_sequences_are_bounded() -> None:
    engine = Engine([rule(window=(1, WITHIN, (), None), steps=STEPS[:2])], {})
    feed(engine, (Occurrence(0, "openat", (0,), {"a": n}) for n in range(MOST_INSTANCES + 1)))
    assert engine.evicted["r"] == 1
    again = [Occurrence(0, "openat", (1,), {"a": n}) for n in (0, 1)]
    assert [len(found) for found in feed(engine, again)] == [0, 1]


def test_what_is_over_is_not_counted_as_forgotten() -> None:
    for parts in ({"window": (2, 1, ("a",), None)}, {"window": (1, 1, (), None), "steps": STEPS}):
        engine = Engine([rule(**parts)], {})
        feed(engine, (Occurrence(2 * n, "openat", (0,), {"a": n}) for n in range(20_000)))
        assert not engine.evicted["r"]
