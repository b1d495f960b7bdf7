"""Fourth pass: separate what the kernel decides, and put the cheapest test first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from etracee.catalog import Field, Flow
from etracee.catalog.model import Elapsed, FileOf, LookUp, PartOf
from etracee.event import EventLayout
from etracee.expr.cform import Operands, c_form_of
from etracee.expr.split import implied_by, widen
from etracee.expr.tree import YES, AllOf, Test, Tree, both, either, leaves
from etracee.operators.base import CText, Refusal
from etracee.operators.grams import HOLDS
from etracee.plan.demand import Demand
from etracee.plan.grams import Grams
from etracee.plan.model import CountPlan, EventPlan, Match
from etracee.plan.tries import Trie
from etracee.plan.values import RecordOperands

OTHERS, KILLED = 63, 62
"""The bits of all rules that have none of their own, and of an event whose process is ended."""
MOST_SEARCHED = 2048
"""Bytes of an event that are searched through, for all searches; more is left to Python.

The verifier follows the rest of the program from each byte at which a search can end.
"""
MOST_WORDS = 1500
"""Words of eight bytes that an event is compared with, one by one; more are left to Python.

A program cannot jump over more than 32,767 instructions, and clang takes its time for each.
"""

_ENDED_ELSEWHERE = (Flow.EXIT, Flow.REQUEST)
"""Where the kernel would end no process any more, or maybe another: that which runs."""

WhyNot = Callable[[Test], str | None]
"""Says why the kernel is not asked to make a comparison, None where it is."""


def kernel_tests(demands: Iterable[Demand]) -> Iterator[Test]:
    """Yield the comparisons that the kernel might be asked to make."""
    for demand in demands:
        trees = (demand.event.keep, *(match.tree for match in demand.event.matches))
        for test in (leaf for tree in trees for leaf in leaves(tree) if isinstance(leaf, Test)):
            if test.field.in_c:
                yield test
                yield from implied_by(test)


def push_down(
    demand: Demand,
    layout: EventLayout,
    tries: Mapping[str, Trie],
    grams: Mapping[str, Grams],
    killing: frozenset[int],
    counting: CountPlan | None,
) -> EventPlan:
    """Return the event's plan: kernel tests, the captures each of them needs, and Python's rest.

    `killing` are the rules for which the kernel ends the process, where it can tell exactly;
    `counting` says what the event is counted by, if it is.
    """
    event = demand.event
    limited = _Limited(RecordOperands(layout, tries, grams))
    sent_anyway = event.delivered or event.feeds is not None
    why_not = limited.why_not if event.feeds is None else _told_of_all
    (keep,), filter_refused = _widen([event.keep], why_not)
    wanted, rules_refused = _rules_wanted(event.matches, limited, sent_anyway=sent_anyway)
    is_told = sent_anyway or counting is not None
    ruled = YES if is_told else widen(either(*wanted), _is_decisive)
    early_test = both(widen(keep, _is_cheap), ruled)
    late_test = _without_cheap(keep)
    matches, bits = _give_bits(event.matches, wanted)
    tests = [tree for _, tree in bits]
    # A filter that Python has to finish might still spare the process.
    may_kill = keep == event.keep and event.type.flow not in _ENDED_ELSEWHERE
    keyed = _needed_for_key(demand, counting) if counting else []
    groups = (_needed(demand, trees) for trees in ([early_test], [late_test], tests))
    ordered, ends = _in_order_of(demand, (*groups, keyed))
    return EventPlan(
        type=event.type,
        layout=_sort_slots(layout, ordered),
        captures=ordered,
        early=ends[0],
        early_test=early_test,
        late=ends[1],
        late_test=late_test,
        ruled=ends[2],
        bits=bits,
        kills=_kills(matches, killing) if may_kill else 0,
        keep=YES if keep == event.keep else event.keep,
        shown=event.shown,
        matches=matches,
        delivered=event.delivered,
        counting=counting,
        keyed=ends[3],
        filters=event.keep,
        filter_refused=filter_refused,
        rules_refused=rules_refused,
        feeds=event.feeds,
    )


def _told_of_all(_: Test) -> str:
    return "the table of processes is told of every such event"


def _widen(trees: Iterable[Tree], why_not: WhyNot) -> tuple[tuple[Tree, ...], Mapping[Test, str]]:
    """Return what the kernel is asked of the trees, and the comparisons that it is not asked."""
    refused: dict[Test, str] = {}

    def has_c(test: Test) -> bool:
        reason = why_not(test)
        if reason is not None:
            refused[test] = reason
        return reason is None

    return tuple(widen(tree, has_c) for tree in trees), refused


@dataclass
class _Limited:
    """Says why a comparison has no C form, and lets only so many searches through."""

    operands: Operands

    def __post_init__(self) -> None:
        self._searches: dict[object, int] = {}
        self._compared: dict[Test, int] = {}

    def why_not(self, test: Test) -> str | None:
        """Return why the comparison is not made in the kernel."""
        form = c_form_of(test, self.operands)
        if isinstance(form, Refusal):
            return form.reason
        if not self._has_room(test):
            return f"an event is compared with {MOST_WORDS} words at most"
        functions: set[object] = {function.name for function in form.functions}
        if not functions:
            return None
        if self._is_held(test):
            return f"many texts are searched for in {test.field.name}"
        searches = {**self._searches, **dict.fromkeys(functions, self._length_of(test))}
        if sum(searches.values()) > MOST_SEARCHED:
            return f"the kernel searches {MOST_SEARCHED} bytes of an event at most"
        self._searches = searches
        return None

    def _has_room(self, test: Test) -> bool:
        """Say whether the comparison is looked up, or among the first that are made one by one."""
        if self.operands.bit(test) is None and test not in self._compared:
            words = _words_of(test.constant)
            if sum(self._compared.values()) + words > MOST_WORDS:
                return False
            self._compared[test] = words
        return True

    def _length_of(self, test: Test) -> int:
        operand = self.operands.of(test.field)
        assert isinstance(operand, CText), "only texts are searched"
        return operand.limit

    def _is_held(self, test: Test) -> bool:
        """Say whether one pass for all searches stands for the search."""
        return any(
            implied.operator is HOLDS and not isinstance(c_form_of(implied, self.operands), Refusal)
            for implied in implied_by(test)
        )

    def why_not_few(self, test: Test) -> str | None:
        """Return why the comparison is not made in few steps, whatever the value."""
        form = c_form_of(test, self.operands)
        if isinstance(form, Refusal):
            return form.reason
        if not self._has_room(test):
            return f"an event is compared with {MOST_WORDS} words at most"
        return "the event is sent anyway, and not searched before" if form.functions else None


def _rules_wanted(
    matches: tuple[Match, ...], limited: _Limited, *, sent_anyway: bool
) -> tuple[tuple[Tree, ...], Mapping[Test, str]]:
    """Return what the kernel asks for each step of a rule, and the comparisons that it does not.

    An event that is sent anyway, by itself or since a rule leaves the kernel no choice, is not
    searched through in the traced program's time.
    """
    trees = [match.tree for match in matches]
    few = _widen(trees, limited.why_not_few)
    if sent_anyway:
        return few
    every = _widen(trees, limited.why_not)
    return (few[0], {**few[1], **every[1]}) if YES in every[0] else every


def _give_bits(
    matches: tuple[Match, ...], wanted: tuple[Tree, ...]
) -> tuple[tuple[Match, ...], tuple[tuple[int, Tree], ...]]:
    """Return the matches, the first of which get bits of their own, and the tests of all bits."""
    given: list[Match] = []
    own: list[tuple[int, Tree]] = []
    others: list[Tree] = []
    for match, tree in zip(matches, wanted, strict=True):
        if tree == YES or len(own) == KILLED:
            others.append(tree)
            given.append(match)
            continue
        given.append(replace(match, bit=len(own), is_exact=tree == match.tree))
        own.append((len(own), tree))
    if others:
        own.append((OTHERS, either(*others)))
    return tuple(given), tuple(own)


def _kills(matches: tuple[Match, ...], killing: frozenset[int]) -> int:
    """Return the bits that say for sure that a rule of `killing` matches."""
    return sum(
        1 << match.bit
        for match in matches
        if match.rule in killing and match.is_exact and match.bit is not None
    )


def _words_of(constant: Any) -> int:
    """Return how many words the comparison with a constant takes, about."""
    if isinstance(constant, bytes):
        return len(constant) // 8 + 1
    return sum(map(_words_of, constant)) if isinstance(constant, tuple) else 1


def _without_cheap(tree: Tree) -> Tree:
    """Return what is left of a conjunction when its cheap parts are known to be true."""
    parts = tree.parts if isinstance(tree, AllOf) else (tree,)
    return both(*(part for part in parts if widen(part, _is_cheap) != part))


def _is_decisive(test: Test) -> bool:
    """Say whether a comparison is cheap, and no mere exception for programs of some name."""
    return _is_cheap(test) and test.field.type.storage.array is None


def _is_cheap(test: Test) -> bool:
    """Say whether a comparison needs no user memory and no walk through the kernel's."""
    origin = test.field.origin
    return not isinstance(origin, PartOf | FileOf | LookUp) and not test.field.type.storage.variable


def _in_order_of(
    demand: Demand, groups: Iterable[list[Field]]
) -> tuple[tuple[Field, ...], list[int]]:
    """Return the captures in the order in which groups need them, and where each group stands.

    What has been kept since the call's entry comes first: it is taken whether the event is wanted
    or not, since the next exit could be one without an entry. The time stands before all else: a
    call that lacks it is not counted again for what else it lacks.
    """
    kept = sorted(filter(_is_kept, demand.captures), key=lambda field: not _is_time(field))
    ordered: dict[Field, None] = dict.fromkeys(kept)
    ends = []
    for group in groups:
        ordered |= dict.fromkeys(group)
        ends.append(len(ordered))
    ordered |= dict.fromkeys(demand.captures)
    return tuple(ordered), ends


def _is_kept(field: Field) -> bool:
    origin = field.origin
    return _is_time(field) or (isinstance(origin, FileOf) and origin.at_entry)


def _is_time(field: Field) -> bool:
    return isinstance(field.origin, Elapsed)


def _needed(demand: Demand, tests: list[Tree]) -> list[Field]:
    names = {
        name
        for test in tests
        for leaf in leaves(test)
        if isinstance(leaf, Test)
        for name in leaf.field.wholes
    }
    return [field for field in demand.captures if field.name in names]


def _needed_for_key(demand: Demand, counting: CountPlan) -> list[Field]:
    implied = _needed(demand, [part.implied for part in counting.parts])
    fields = [part.field for part in counting.parts]
    names = {f.origin.whole if isinstance(f.origin, PartOf) else f.name for f in fields}
    return [*implied, *(field for field in demand.captures if field.name in names)]


def _sort_slots(layout: EventLayout, captures: tuple[Field, ...]) -> EventLayout:
    """Put the variable slots into the order of their capture, which is that of their bytes."""
    rank = {field.name: number for number, field in enumerate(captures)}
    fixed = [slot for slot in layout.slots if not slot.storage.variable]
    variable = sorted(layout.variable, key=lambda slot: rank[slot.name])
    return EventLayout(layout.event, layout.index, (*fixed, *variable), layout.size)
