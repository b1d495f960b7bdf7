"""From a rule as it is written to a rule of which every part knows its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from etracee.profile.written import Located
from etracee.rules.model import Rule, RuleTest, Scenario, Step, TestEvent, Window
from etracee.rules.written import (
    WrittenAtMost,
    WrittenEvent,
    WrittenEvents,
    WrittenException,
    WrittenRule,
    WrittenScenario,
    WrittenSequence,
    WrittenSeries,
    WrittenTest,
    WrittenThreshold,
)
from etracee.source import Document, Path_


def build_rule(document: Document, path: Path_, entry: WrittenRule) -> Rule:
    """Return the rule that is written at `path`."""
    return Rule(
        id=Located(entry.id, document, (*path, "id")),
        title=entry.title,
        level=entry.level,
        tags=tuple(entry.tags),
        steps=tuple(_steps(document, path, entry)),
        exceptions=exceptions_of(document, path, entry.exceptions),
        window=_window_of(document, path, entry),
        at_most=_window(document, (*path, "at_most"), entry.at_most),
        actions=tuple(entry.actions),
        output=_output(document, path, entry),
        tests=tuple(
            _test(document, (*path, "tests", index), test) for index, test in enumerate(entry.tests)
        ),
        trigger=entry.trigger,
        near_miss=entry.near_miss,
    )


def build_scenario(document: Document, path: Path_, entry: WrittenScenario) -> Scenario:
    """Return the scenario that is written at `path`."""
    events = _events(document, path, entry.events)
    where = Located(entry.name, document, path)
    return Scenario(entry.name, events, tuple(entry.alerts), where, *_pace(entry))


def exceptions_of(
    document: Document, path: Path_, entries: Iterable[WrittenException]
) -> tuple[Located, ...]:
    """Return the conditions of the exceptions that are written below `path`."""
    return tuple(
        Located(entry.condition, document, (*path, "exceptions", index, "condition"))
        for index, entry in enumerate(entries)
    )


def _steps(document: Document, path: Path_, entry: WrittenRule) -> Iterable[Step]:
    if entry.sequence is None:
        yield _step(document, path, None, entry.events or (), entry.condition)
        return
    for index, step in enumerate(entry.sequence.steps):
        own = (*path, "sequence", "steps", index)
        name = Located(step.name, document, (*own, "as")) if step.name is not None else None
        yield _step(document, own, name, step.events, step.condition)


def _step(
    document: Document,
    path: Path_,
    name: Located | None,
    events: Sequence[str],
    condition: str | None,
) -> Step:
    text = Located(condition, document, (*path, "condition")) if condition is not None else None
    return Step(name, _texts(document, (*path, "events"), events), text)


def _window_of(document: Document, path: Path_, entry: WrittenRule) -> Window | None:
    if entry.sequence is not None:
        return _window(document, (*path, "sequence"), entry.sequence)
    return _window(document, (*path, "threshold"), entry.threshold)


def _window(
    document: Document,
    path: Path_,
    entry: WrittenThreshold | WrittenAtMost | WrittenSequence | None,
) -> Window | None:
    if entry is None:
        return None
    distinct = getattr(entry, "distinct", None)
    return Window(
        count=getattr(entry, "count", 1),
        within=entry.within,
        by=_texts(document, (*path, "by"), entry.by),
        distinct=Located(distinct, document, (*path, "distinct")) if distinct else None,
    )


def _output(document: Document, path: Path_, entry: WrittenRule) -> Located:
    if entry.output is not None:
        return Located(entry.output, document, (*path, "output"))
    return Located(entry.title.replace("{", "{{").replace("}", "}}"))


def _test(document: Document, path: Path_, entry: WrittenTest | WrittenSeries) -> RuleTest:
    where = Located("", document, path)
    if isinstance(entry, WrittenTest):
        event = TestEvent(entry.type, entry.values, where)
        return RuleTest((event,), int(entry.fires == "true"), where)
    return RuleTest(_events(document, path, entry.events), entry.alerts, where, *_pace(entry))


def _pace(entry: WrittenEvents) -> Any:
    return entry.repeat, entry.every if entry.every is not None else 0.001


def _events(
    document: Document, path: Path_, entries: Sequence[WrittenEvent]
) -> tuple[TestEvent, ...]:
    return tuple(
        TestEvent(entry.type, entry.values, Located("", document, (*path, "events", index)))
        for index, entry in enumerate(entries)
    )


def _texts(document: Document, path: Path_, texts: Sequence[str]) -> tuple[Located, ...]:
    return tuple(Located(text, document, (*path, index)) for index, text in enumerate(texts))
