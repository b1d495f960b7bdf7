"""Say how far a rule got on events on which it did not fire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etracee.expr.evaluate import compile_tree
from etracee.expr.tree import YES, AllOf, AnyOf, Fixed, Not, Reference, Test, Tree, leaves
from etracee.plan.model import StepPlan, WindowPlan
from etracee.testing.compiled import Compiled
from etracee.testing.values import Values

_LONGEST = 160
"""Characters of a clause, or of a value, that are shown."""
_ANSWERS = {True: "true ", False: "false"}


class Explainer:
    """Explains the silence of one rule over the events of a test."""

    def __init__(
        self, compiled: Compiled, index: int, events: Sequence[Values], repeat: int
    ) -> None:
        self.rule, self.events, self.repeat = compiled.plan.rules[index], events, repeat
        self.is_ordered = repeat == 1 and all(event.time is None for event in events)
        self.steps = [
            {step: found for _, step, found in compiled.hits_of(index, event)} for event in events
        ]

    def explain(self) -> Iterator[str]:
        """Yield lines: the clauses of the condition, or the steps, and which of them held."""
        if len(self.rule.steps) > 1:
            yield from self.explain_sequence()
            return
        matching = sum(bool(found) for found in self.steps)
        if self.rule.window:
            yield f"{matching * self.repeat} of {len(self.events) * self.repeat} events match"
            yield f"needed: {_needed(self.rule.window)}"
        yield from self.explain_step(self.rule.steps[0], 0, {})

    def explain_sequence(self) -> Iterator[str]:
        """Yield a line for each step that an event fits, and the clauses of the first other."""
        references: dict[str, Any] = {}
        at = -1
        for number, step in enumerate(self.rule.steps):
            named = f"step {number + 1}{f' ({step.name})' if step.name else ''}"
            after = at if self.is_ordered else -1
            at = next(self.fitting(number, step, references, after), -1)
            if at < 0:
                yield f"{named}: no event fits"
                yield from self.explain_step(step, number, references)
                return
            event = self.events[at]
            yield f"{named}: event {at + 1} ({event.type}) fits"
            if step.name:
                references |= {Reference(step.name, n).key: v for n, v in event.fields.items()}
        assert self.rule.window is not None
        yield f"needed: {_needed(self.rule.window)}, in this order"

    def fitting(
        self, number: int, step: StepPlan, references: Mapping[str, Any], after: int
    ) -> Iterator[int]:
        """Yield the events behind `after` that fit a step."""
        for at, found in enumerate(self.steps):
            if at > after and number in found:
                tree = step.conditions[self.events[at].type]
                if _answer(tree, self.events[at], references):
                    yield at

    def explain_step(
        self, step: StepPlan, number: int, references: Mapping[str, Any]
    ) -> Iterator[str]:
        """Yield the clauses for the first event that could be the step and does not fit it."""
        for at, event in enumerate(self.events):
            tree = step.conditions.get(event.type)
            if tree is None or (number in self.steps[at] and _answer(tree, event, references)):
                continue
            if len(self.events) > 1:
                yield f"event {at + 1} ({event.type}):"
            yield from _clauses(tree, event, references)
            return
        if not any(event.type in step.conditions for event in self.events):
            yield f"its events are {', '.join(step.conditions)}"


def _needed(window: WindowPlan) -> str:
    parts = [f"within {window.within / 1e9:g}s"]
    if window.count > 1:
        what = f"values of {window.distinct}" if window.distinct else "events"
        parts.insert(0, f"{window.count} {what}")
    if window.by:
        parts.append(f"all of one {', '.join(window.by)}")
    return " ".join(parts)


def _clauses(tree: Tree, event: Values, references: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parts of a condition with their answers; under an `or`, its alternatives."""
    for part in tree.parts if isinstance(tree, AllOf) else (tree,):
        yield _line(part, event, references)
        if isinstance(part, AnyOf):
            yield from (f"  {_line(inner, event, references)}" for inner in part.parts)


def _line(tree: Tree, event: Values, references: Mapping[str, Any]) -> str:
    tested = dict.fromkeys(
        leaf.field.name for leaf in leaves(tree) if isinstance(leaf, Test) and tree != YES
    )
    values = ", ".join(_value(name, event) for name in tested)
    answer = _ANSWERS[_answer(tree, event, references)]
    note = f"    [{_shorten(values)}]" if values and not isinstance(tree, AnyOf) else ""
    return f"{answer} {_shorten(_text(tree))}{note}"


def _answer(tree: Tree, event: Values, references: Mapping[str, Any]) -> bool:
    constants = [leaf.constant for leaf in leaves(tree) if isinstance(leaf, Test)]
    missing = {constant.key: None for constant in constants if isinstance(constant, Reference)}
    return compile_tree(tree)({**missing, **references, **event.fields}, event.cut)


def _value(name: str, event: Values) -> str:
    value = event.written.get(name, event.fields.get(name))
    if value is None:
        return f"{name} is missing"
    shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return f"{name}: {shown}"


def _text(tree: Tree) -> str:
    if isinstance(tree, Test):
        return tree.text
    if isinstance(tree, Fixed):
        return "always" if tree.value else "never"
    if isinstance(tree, Not):
        return f"not {_text(tree.inner)}"
    word = " and " if isinstance(tree, AllOf) else " or "
    return f"({word.join(map(_text, tree.parts))})"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
