"""Render the rules: their tests over the values of events, and what the engine is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from etracee.catalog import Field
from etracee.engine.actions import BY_KERNEL
from etracee.expr import split
from etracee.expr.evaluate import PythonForm
from etracee.expr.guard import Guard, guard_of
from etracee.expr.tree import YES, Reference, Test, Tree, leaves
from etracee.fragments import Py, join, py, py_ident, py_literal, py_variable
from etracee.plan.model import EventPlan, Match, Plan, RulePlan, WindowPlan
from etracee.plan.pushdown import KILLED

MOST_IN_A_ROW = 3
"""Tests of rules that are tried one after the other; of more, candidates are looked up."""


@dataclass(frozen=True)
class Matcher:
    """A test over fields: of the profile's filters, or of a step of a rule."""

    name: Py
    arguments: Py
    test: Py


@dataclass(frozen=True)
class MatchersView:
    """The rules' tests for one event.

    Those `marked` are tried where the kernel has set one of the bits `marks`, those `in_row` one
    by one; the others stand in the tuple TESTS_…, of which `always` are tried, and those that the
    indices find.
    """

    arguments: Py
    marks_or_cut: Py
    marks: int
    marked: tuple[tuple[Py, Py], ...]
    in_row: tuple[tuple[Py, Py], ...]
    indexed: tuple[tuple[Py, Py], ...]
    always: Py
    indices: tuple[tuple[Py, Py, Py], ...]
    everything: Py


@dataclass(frozen=True)
class Follow:
    """The function that says whether an event follows those of earlier steps."""

    name: Py
    values: tuple[tuple[Py, Py], ...]
    test: Py


def view_matchers(event: EventPlan, form: PythonForm) -> MatchersView:
    """Return the tests of all rules for an event."""
    tests = [
        (_guarded(match, form), _hit(match, is_killed=_is_killed(match, event)), match)
        for match in event.matches
    ]
    bit_less = [entry for entry in tests if entry[2].bit is None]
    few = len(bit_less) <= MOST_IN_A_ROW
    marked = [entry for entry in tests if entry[2].bit is not None]
    in_row, indexed = (bit_less, []) if few else ([], bit_less)
    guards = [guard_of(match.tree) for _, _, match in indexed]
    always = tuple(number for number, guard in enumerate(guards) if guard is None)
    return MatchersView(
        arguments=_arguments(event),
        marks_or_cut=Py(
            " or cut"
            if any(split.may_stay_open(t) for _, _, m in marked for t in _tests(m.tree))
            else ""
        ),
        marks=sum(1 << match.bit for _, _, match in marked if match.bit is not None),
        marked=tuple((test, hit) for test, hit, _ in marked),
        in_row=tuple((test, hit) for test, hit, _ in in_row),
        indexed=tuple((test, hit) for test, hit, _ in indexed),
        always=py_literal(always),
        indices=tuple(_indices(event, guards)),
        everything=py_literal(len(indexed)),
    )


def arguments_of(trees: Iterable[Tree], more: Iterable[Py] = ()) -> Py:
    """Return the variables that the trees read, and `cut`, as arguments of a function."""
    names = {py_variable(test.field.name) for tree in trees for test in _tests(tree)}
    return join(", ", [*sorted({*names, *more}), Py("cut")], Py)


def _arguments(event: EventPlan) -> Py:
    reads = {py_variable(field.name) for match in event.matches for field in match.reads}
    bits = {Py("bits")} if any(match.bit is not None for match in event.matches) else set()
    return arguments_of((match.tree for match in event.matches), reads | bits)


def _guarded(match: Match, form: PythonForm) -> Py:
    """Return the test, behind the kernel's answer where it has given one."""
    if match.bit is None:
        return form.source(match.tree, py("left_open({n})", n=match.rule))
    answer = py("bits & {mask}", mask=1 << match.bit)
    may_stay_open = any(map(split.may_stay_open, _tests(match.tree)))
    if match.is_exact and not may_stay_open:
        return answer
    test = form.source(match.tree, py("left_open({n})", n=match.rule))
    if may_stay_open:  # asked again for the sake of the count: the kernel says no
        answer = py("({answer} or cut)", answer=answer)
    return py("{answer} and {test}", answer=answer, test=test)


def _is_killed(match: Match, event: EventPlan) -> bool:
    """Say whether the kernel may have ended the process where the match is true."""
    return match.bit is not None and bool(event.kills >> match.bit & 1)


def _hit(match: Match, *, is_killed: bool) -> Py:
    values = [
        py("{name}: {value}", name=py_literal(field.name), value=_whole(match, field))
        for field in match.reads
    ]
    if is_killed:
        killed = py("bool(bits & {mask})", mask=1 << KILLED)
        values.append(py("{name}: {killed}", name=py_literal(BY_KERNEL), killed=killed))
    inner = join(", ", values, Py)
    return py("({rule}, {step}, {{{values}}})", rule=match.rule, step=match.step, values=inner)


def _whole(match: Match, field: Field) -> Py:
    """Return the value for the engine: a cut one is missing where it would be compared."""
    name, variable = field.name, py_variable(field.name)
    is_compared = any(name == join_.field.name for join_ in match.joins) or any(
        test.field.name == name for test in _tests(match.rest)
    )
    if not is_compared and name not in match.referenced:
        return variable
    return py("None if {n} in cut else {v}", n=py_literal(field.holder), v=variable)


def _indices(event: EventPlan, guards: list[Guard | None]) -> Iterator[tuple[Py, Py, Py]]:
    """Yield name, source and variable of the index of each field that guards name."""
    keys: dict[str, dict[object, tuple[int, ...]]] = {}
    patterns: dict[str, dict[bytes, tuple[int, ...]]] = {}
    for number, guard in enumerate(guards):
        for name, lookup in guard or ():
            known = keys.setdefault(name, {})
            for key in lookup.keys:
                known[key] = (*known.get(key, ()), number)
            regular = patterns.setdefault(name, {})
            for pattern in lookup.patterns:
                regular[pattern] = (*regular.get(pattern, ()), number)
    for name, known in keys.items():
        index = py(
            "candidates.Index({keys}, {patterns})",
            keys=py_literal(known),
            patterns=py_literal(tuple(patterns[name].items())),
        )
        full = py("INDEX_{event}_{field}", event=py_ident(event.name), field=py_ident(name))
        yield full, index, py_variable(name)


def view_follows(plan: Plan) -> Iterator[Follow]:
    """Yield the functions of all steps that compare with earlier ones otherwise than by a join."""
    form = PythonForm(lambda _: True, lambda _: False)
    for event in plan.events:
        for match in event.matches:
            if match.rest != YES:
                yield Follow(
                    name=_follow_name(match, event.name),
                    values=tuple(_followed(match.rest)),
                    test=form.source(match.rest, Py("False")),
                )
    assert not form.constants, "operators that take references hoist nothing"


def _followed(rest: Tree) -> Iterator[tuple[Py, Py]]:
    for test in dict.fromkeys(_tests(rest)):
        name = py_literal(test.field.name)
        yield py_variable(test.field.name), py("values.get({name})", name=name)
        other = test.constant
        if isinstance(other, Reference):
            step, field = py_literal(other.step), py_literal(other.field)
            yield other.variable, py("steps[{step}].get({field})", step=step, field=field)


def _follow_name(match: Match, event: str) -> Py:
    return py("follows_{r}_{s}_{e}", r=match.rule, s=match.step, e=py_ident(event))


def rule_source(plan: Plan, index: int) -> Py:
    """Return the source of the mapping that tells the engine of rule `index`."""
    rule = plan.rules[index]
    entries = {
        "id": py_literal(rule.id),
        "title": py_literal(rule.title),
        "level": py_literal(rule.level),
        "tags": py_literal(rule.tags),
        "output": py_literal(tuple((piece.text, piece.is_field) for piece in rule.output)),
        "steps": _tuple(_step_source(plan, rule, index, n) for n in range(len(rule.steps))),
        "window": _window_source(rule.window),
        "at_most": _window_source(rule.at_most),
        "actions": py_literal(rule.actions),
    }
    pairs = [py("{key}: {value}", key=py_literal(k), value=v) for k, v in entries.items()]
    return py("{{{pairs}}}", pairs=join(", ", pairs, Py))


def _step_source(plan: Plan, rule: RulePlan, index: int, number: int) -> Py:
    found = [
        (event.name, match)
        for event in plan.events
        for match in event.matches
        if (match.rule, match.step) == (index, number)
    ]
    joins = tuple(
        (join_.field.name, join_.reference.step, join_.reference.field)
        for join_ in (found[0][1].joins if found else ())
    )
    follows = [
        py("{event}: {name}", event=py_literal(event), name=_follow_name(match, event))
        for event, match in found
        if match.rest != YES
    ]
    return py(
        "({name}, {joins}, {{{follows}}})",
        name=py_literal(rule.steps[number].name),
        joins=py_literal(joins),
        follows=join(", ", follows, Py),
    )


def _window_source(window: WindowPlan | None) -> Py:
    if window is None:
        return Py("None")
    return py_literal((window.count, window.within, window.by, window.distinct))


def _tuple(parts: Iterable[Py]) -> Py:
    return py("({parts},)", parts=join(", ", list(parts), Py))


def _tests(tree: Tree) -> list[Test]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Test)]
