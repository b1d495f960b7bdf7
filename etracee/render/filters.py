"""Turn the kernel's tests of an event into views: filters, bits of rules, and look-ups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from etracee.catalog import Field
from etracee.event import Slot
from etracee.expr.cform import c_form_of, c_source
from etracee.expr.split import may_stay_open
from etracee.expr.tree import YES, AllOf, AnyOf, Not, Test, Tree, both, either, leaves
from etracee.fragments import C, c, c_ident, c_int, join
from etracee.operators.base import CAddress, CFunction, CNumber, CText, Refusal
from etracee.operators.grams import HOLDS
from etracee.plan import EventPlan, Plan
from etracee.plan.tries import Trie, bias_of
from etracee.plan.values import RecordOperands, end_of, text_of
from etracee.render.views import (
    BitView,
    FiltersView,
    FinderView,
    MapView,
    Step,
    TestView,
    TextView,
)

LONGEST_PASS = 256
"""Bytes of a text that are searched through; the verifier follows the program from each of them."""


def view_filters(event: EventPlan, plan: Plan, functions: dict[C, CFunction]) -> FiltersView:
    """Return the event's tests; functions that they call are added to `functions`."""
    return _Filters(event, plan, functions).view()


def view_map(trie: Trie) -> MapView:
    """Return the declaration of a trie."""
    return MapView(c_ident(trie.field), trie.size, trie.words, max(len(trie.entries), 1))


class _Filters:
    def __init__(self, event: EventPlan, plan: Plan, functions: dict[C, CFunction]) -> None:
        self.event, self.functions = event, functions
        self.tries = {trie.field: trie for trie in plan.tries}
        grams = {each.field: each for each in plan.grams}
        self.name = c_ident(event.name)
        self.operands = RecordOperands(event.layout, self.tries, grams)

    def view(self) -> FiltersView:
        trees = [self.event.early_test, self.event.late_test, *(t for _, t in self.event.bits)]
        looked_up = {
            test.field: None for test in _tests(trees) if self.operands.bit(test) is not None
        }
        always = sum(1 << number for number, tree in self.event.bits if tree == YES)
        bits = tuple(
            BitView(c_int(1 << number), self.source(tree))
            for number, tree in self.event.bits
            if tree != YES
        )
        return FiltersView(
            has_rules=bool(self.event.bits),
            always=c_int(always),
            finders=(
                *(self.finder(field) for field in looked_up),
                *(self.searcher(test.field) for test in _searched(trees)),
            ),
            tests=tuple(self.tests()),
            bits=bits,
            gate=self.gate(),
            rules=self.test("rules", [tree for _, tree in self.event.bits]),
        )

    def gate(self) -> C:
        """Return a cheap test that is true wherever a bit may be set."""
        trees = [tree for _, tree in self.event.bits if tree != YES]
        tree = either(*(self.roughen(tree) for tree in trees))
        return c_source(tree, replace(self.operands, rough=True)).expression

    def roughen(self, tree: Tree) -> Tree:
        """Leave out what is dear to tell; suffixes are compared by their last bytes alone.

        That is true too often, so what is negated must do without.
        """
        if isinstance(tree, AllOf):
            return both(*map(self.roughen, tree.parts))
        if isinstance(tree, AnyOf):
            return either(*map(self.roughen, tree.parts))
        is_negated = isinstance(tree, Not)
        is_dear = any(self.is_dear(test, negated=is_negated) for test in _tests([tree]))
        return YES if is_dear else tree

    def is_dear(self, test: Test, *, negated: bool) -> bool:
        if self.operands.bit(test) is not None:
            return self.is_late(test)
        form = c_form_of(test, self.operands)
        has_loop = not isinstance(form, Refusal) and bool(form.functions)
        return has_loop or (negated and test.field.type.storage.variable)

    def is_late(self, test: Test) -> bool:
        """Say whether a comparison is looked up in a trie of a context field, such as comm."""
        return test.field.type.storage.array is not None and self.operands.bit(test) is not None

    def tests(self) -> Iterator[TestView]:
        for name, tree in (("early", self.event.early_test), ("late", self.event.late_test)):
            if tree != YES:
                yield self.test(f"is_wanted_{name}", [tree])

    def test(self, name: str, trees: list[Tree]) -> TestView:
        tests = _tests(trees)
        looked_up = [test for test in tests if self.operands.bit(test) is not None]
        compared = [test.field for test in tests if self.operands.bit(test) is None]
        sources = [self.source(tree) for tree in trees]
        return TestView(
            name=c("{event}_{name}", event=self.name, name=c_ident(name)),
            texts=tuple(view_texts(self.event, compared)),
            ends=tuple(self.ends(sources)),
            looked_up=_names(test for test in looked_up if not self.is_late(test)),
            searched=_names(_searched(trees)),
            looked_up_late=_names(test for test in looked_up if self.is_late(test)),
            expression=sources[0] if len(sources) == 1 else C(""),
        )

    def ends(self, sources: list[C]) -> Iterator[TextView]:
        """Yield pointers to the ends of those slots of which the tests name them."""
        for slot in self.event.layout.variable:
            if any(end_of(slot) in source for source in sources):
                mask, name = c_int(ones(slot.limit)), c_ident(slot.name)
                length = c("LENGTH(r->{name})", name=name)
                place = c("BOUNDED({t}, {l}, {m})", t=text_of(slot), l=length, m=mask)
                yield TextView(end_of(slot), place)

    def source(self, tree: Tree) -> C:
        form = c_source(tree, self.operands)
        self.functions |= {function.name: function for function in form.functions}
        return form.expression

    def finder(self, field: Field) -> FinderView:
        operand = self.operands.of(field)
        assert not isinstance(operand, Refusal), "only what has a place in C is looked up"
        trie = self.tries[field.name]
        common = FinderView(
            template=_FINDERS[type(operand)],
            name=c_ident(field.name),
            size=trie.size,
            texts=tuple(view_texts(self.event, [field])),
            exists=operand.exists or C("1"),
        )
        if isinstance(operand, CNumber):
            biased = c("(u64)({v}) + {n}", v=operand.value, n=c_int(bias_of(field)))
            return common.filled(value=biased)
        if isinstance(operand, CAddress):
            return common.filled(value=operand.high, low=operand.low)
        if operand.terminated:
            return common.filled(template="find/array.c.j2", value=operand.pointer)
        return common.filled(
            value=operand.pointer,
            length=operand.length,
            cut=operand.cut or C("0"),
            mask=ones(operand.limit),
        )

    def searcher(self, field: Field) -> FinderView:
        operand = self.operands.of(field)
        assert isinstance(operand, CText), "only texts are searched"
        return FinderView(
            template="find/grams.c.j2",
            name=c_ident(field.name),
            size=min(operand.limit, LONGEST_PASS),
            texts=tuple(view_texts(self.event, [field])),
            exists=operand.exists or C("1"),
            value=operand.pointer,
            length=operand.length,
        )


_FINDERS = {
    CText: "find/text.c.j2",
    CNumber: "find/number.c.j2",
    CAddress: "find/address.c.j2",
}


def with_tests(captures: list[Step], event: EventPlan, filters: FiltersView) -> Iterator[Step]:
    """Put each test behind the captures that it reads."""
    ends = {"is_wanted_early": event.early, "is_wanted_late": event.late}
    names = {c("{e}_{n}", e=c_ident(event.name), n=C(n)): end for n, end in ends.items()}
    placed = [
        (names[test.name], Step("reject.c.j2", test=test.name, cut=_cut(event, names[test.name])))
        for test in filters.tests
    ]
    if event.bits:
        waits = event.is_sent_anyway or event.counting
        template = "mark.c.j2" if waits else "mark_or_reject.c.j2"
        cut = _cut(event, event.ruled)
        placed.append((event.ruled, Step(template, test=filters.rules.name, cut=cut)))
    if event.kills:
        placed.append((event.ruled, Step("mark_kill.c.j2", test=filters.rules.name)))
    if event.counting and event.is_sent:
        cut = _cut(event, event.ruled)
        template = "count_too.c.j2" if event.is_sent_anyway else "count_or_leave.c.j2"
        placed.append((event.keyed, Step(template, test=filters.rules.name, cut=cut)))
    for index in range(len(captures) + 1):
        yield from (step for end, step in placed if end == index)
        if index < len(captures):
            yield captures[index]


def _cut(event: EventPlan, end: int) -> C:
    """Return whether a text of the first `end` captures was cut that might have changed an answer.

    The others are not captured yet: their slots hold what an earlier record has left there.
    """
    trees = [event.filters, *(match.tree for match in event.matches)]
    named = {test.field.name for test in _tests(trees) if may_stay_open(test)}
    there = [field.name for field in event.captures[:end] if field.name in named]
    return join(" || ", [c("(r->{name} & CUT)", name=c_ident(name)) for name in there], C)


def view_texts(event: EventPlan, fields: Iterable[Field]) -> Iterator[TextView]:
    """Yield pointers to the variable slots of `fields`."""
    read = {name for field in fields for name in field.wholes}
    used = C("0")
    for slot in event.layout.variable:
        if slot.name in read:
            mask = ones(bytes_before(event, slot))
            place = c("BOUNDED(r->tail, {u}, {m})", u=used, m=c_int(mask))
            yield TextView(text_of(slot), place)
        used = c("{used} + BYTES(r->{name})", used=used, name=c_ident(slot.name))


def bytes_before(event: EventPlan, slot: Slot) -> int:
    """Return how many bytes the variable values before `slot` can take."""
    variable = event.layout.variable
    return sum(before.limit for before in variable[: variable.index(slot)])


def ones(most: int) -> int:
    """Return the smallest number of all ones that is not below `most`."""
    return (1 << most.bit_length()) - 1


def _searched(trees: Iterable[Tree]) -> list[Test]:
    """Return a test for each field that is searched for four bytes of many texts."""
    return list({test.field: test for test in _tests(trees) if test.operator is HOLDS}.values())


def _names(tests: Iterable[Test]) -> tuple[C, ...]:
    return tuple(c_ident(name) for name in sorted({test.field.name for test in tests}))


def _tests(trees: Iterable[Tree]) -> list[Test]:
    return [leaf for tree in trees for leaf in leaves(tree) if isinstance(leaf, Test)]
