"""Who decides an expression, comparison by comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from etracee.explain.model import Clause, Decided, Decision, Step
from etracee.expr.cform import c_form_of
from etracee.expr.split import Share, shares, widen
from etracee.expr.tree import NO, YES, AllOf, Fixed, Not, Reference, Test, Tree
from etracee.operators.base import Refusal
from etracee.plan import EventPlan, Plan, RulePlan
from etracee.plan.model import Match, StepPlan
from etracee.plan.values import RecordOperands


class Decider:
    """Answers for the events of a plan, from what the plan says of them."""

    def __init__(self, plan: Plan) -> None:
        self._matches = {
            (event.name, match.rule, match.step): (event, match)
            for event in plan.events
            for match in event.matches
        }
        tries = {trie.field: trie for trie in plan.tries}
        grams = {each.field: each for each in plan.grams}
        self._operands = {
            event.name: RecordOperands(event.layout, tries, grams) for event in plan.events
        }

    def filter(self, event: EventPlan) -> Decision | None:
        """Return who decides the filters of an event, None where there are none."""
        if event.filters == YES:
            return None
        refused = event.filter_refused
        clauses = self._clauses(event.name, event.filters, refused)
        asked = widen(event.filters, lambda test: test not in refused)
        return Decision((event.name,), _decided(event.filters, asked), clauses)

    def steps(self, index: int, rule: RulePlan) -> tuple[Step, ...]:
        """Return who decides the steps of rule number `index`."""
        return tuple(
            Step(step.name, tuple(_grouped(self._step(index, number, step))))
            for number, step in enumerate(rule.steps)
        )

    def _step(self, rule: int, number: int, step: StepPlan) -> Iterator[Decision]:
        for name, tree in step.conditions.items():
            found = self._matches.get((name, rule, number))
            if found is None:
                yield Decision((name,), "never", ())
            else:
                yield self._match(*found, tree)

    def _match(self, event: EventPlan, match: Match, tree: Tree) -> Decision:
        refused = event.rules_refused
        asked = widen(match.tree, lambda test: test not in refused)
        is_whole = asked == tree and (match.is_exact or tree == YES)
        decided: Decided = "kernel" if is_whole else _decided(NO, asked)
        has_no_bit = asked == tree != YES and match.bit is None
        because = "the bits of an event are for its first rules" if has_no_bit else None
        return Decision((event.name,), decided, self._clauses(event.name, tree, refused), because)

    def _clauses(self, event: str, tree: Tree, refused: Mapping[Test, str]) -> tuple[Clause, ...]:
        def has_c(test: Test) -> bool:
            return test not in refused and not isinstance(test.constant, Reference)

        found = (self._clause(event, share, refused) for share in shares(tree, has_c))
        return tuple(dict.fromkeys(found))

    def _clause(self, event: str, share: Share, refused: Mapping[Test, str]) -> Clause:
        test, blocker = share.test, share.blocker
        operands = self._operands[event]
        if blocker is None:
            looked_up = operands.bit(test) is not None
            where = f"looked up in the trie of {test.field.name}" if looked_up else None
            return Clause(test.text, "kernel", where)
        if blocker != test:
            because = f"`{blocker.text}`, the other way to be true, is decided there"
            return Clause(test.text, "userspace", because)
        form = c_form_of(test, operands)
        reason = form.reason if isinstance(form, Refusal) else refused[test]
        if share.asked is not None:
            reason = f"{reason}; the kernel asks whether `{text_of_tree(share.asked)}`"
        return Clause(test.text, "userspace", reason)


def _decided(tree: Tree, asked: Tree) -> Decided:
    if tree == asked:
        return "kernel"
    return "userspace" if asked == YES else "kernel and userspace"


def _grouped(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Put the events together that are decided alike."""
    groups: dict[Decision, list[str]] = {}
    for decision in decisions:
        groups.setdefault(replace(decision, events=()), []).extend(decision.events)
    for decision, events in groups.items():
        yield replace(decision, events=tuple(events))


def text_of_tree(tree: Tree) -> str:
    """Return an expression, its comparisons as they were written, macros expanded."""
    if isinstance(tree, Fixed):
        return "always" if tree.value else "never"
    if isinstance(tree, Test):
        return tree.text
    if isinstance(tree, Not):
        return f"not {_bracketed(tree.inner)}"
    word = " and " if isinstance(tree, AllOf) else " or "
    return word.join(map(_bracketed, tree.parts))


def _bracketed(tree: Tree) -> str:
    text = text_of_tree(tree)
    return text if isinstance(tree, Test | Fixed | Not) else f"({text})"
