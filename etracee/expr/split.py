"""Split an expression: the kernel's part is true at least as often as the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from etracee.expr.tree import (
    NO,
    YES,
    AllOf,
    AnyOf,
    Fixed,
    Not,
    Reference,
    Test,
    Tree,
    both,
    either,
    leaves,
    negate,
)
from etracee.operators import Operator, all_operators
from etracee.operators.grams import HOLDS, gram_of
from etracee.types import Kind


def widen(tree: Tree, has_c: Callable[[Test], bool]) -> Tree:
    """Return the tree with every test that has no C form replaced, so that it is true more often.

    In its place stands one that it implies, or nothing. Where nothing had to be replaced the
    result equals `tree`, and the kernel decides alone.
    """
    return _approximate(tree, has_c, YES)


def may_stay_open(test: Test) -> bool:
    """Say whether a cut value can leave the answer open, which then counts as no."""
    is_text = test.field.may_be_cut and not isinstance(test.constant, Reference)
    return is_text and test.operator.may_stay_open(test.constant)


def implied_by(test: Test) -> list[Test]:
    """Return tests that are true wherever `test` is, as a prefix is of a pattern."""
    if isinstance(test.constant, Reference) or test.field.kind is not Kind.TEXT:
        return []
    found = []
    implied = test.operator.implied(test.constant)
    if implied is not None:
        found.append((all_operators()[implied[0]], implied[1]))
    gram = gram_of(test.operator.required(test.constant))
    if gram is not None:
        found.append((HOLDS, gram))
    return [_with(test, operator, constant) for operator, constant in found]


def _with(test: Test, operator: Operator, constant: bytes) -> Test:
    text = f"{test.field.name} {operator.symbol} {constant.decode('utf-8', 'backslashreplace')}"
    return Test(test.field, operator, constant, text)


def _approximate(tree: Tree, has_c: Callable[[Test], bool], otherwise: Tree) -> Tree:
    if isinstance(tree, Test):
        if has_c(tree):
            return tree
        implied = implied_by(tree) if otherwise == YES else []
        asked = [test for test in implied if has_c(test)]
        return both(*asked) if asked else otherwise
    if isinstance(tree, Not):
        return negate(_approximate(tree.inner, has_c, NO if otherwise == YES else YES))
    if isinstance(tree, AllOf):
        return both(*(_approximate(part, has_c, otherwise) for part in tree.parts))
    if isinstance(tree, AnyOf):
        return either(*(_approximate(part, has_c, otherwise) for part in tree.parts))
    return tree


@dataclass(frozen=True)
class Share:
    """A comparison of an expression, and what keeps it from the kernel.

    `blocker` is the comparison itself where it has no C form, the one beside it that has none where
    the kernel could not use its answer, and None where the kernel makes it. `asked` is
    what the kernel asks in its place, if anything.
    """

    test: Test
    blocker: Test | None
    asked: Tree | None = None


def shares(tree: Tree, has_c: Callable[[Test], bool]) -> Iterator[Share]:
    """Yield every comparison of `tree`, from left to right, with what widen() does to it."""
    yield from _shares(tree, has_c, YES, None)


def _shares(
    tree: Tree, has_c: Callable[[Test], bool], otherwise: Tree, blocker: Test | None
) -> Iterator[Share]:
    if isinstance(tree, Test):
        asked = _approximate(tree, has_c, otherwise)
        if asked == tree:
            yield Share(tree, blocker)
        else:
            yield Share(tree, tree, asked if not isinstance(asked, Fixed) and not blocker else None)
    elif isinstance(tree, Not):
        yield from _shares(tree.inner, has_c, NO if otherwise == YES else YES, blocker)
    elif isinstance(tree, AllOf | AnyOf):
        if isinstance(tree, AnyOf) == (otherwise == YES):
            blocker = blocker or _blocker(tree, has_c, otherwise)
        for part in tree.parts:
            yield from _shares(part, has_c, otherwise, blocker)


def _blocker(tree: AllOf | AnyOf, has_c: Callable[[Test], bool], otherwise: Tree) -> Test | None:
    """Return the comparison that leaves the answer to all alternatives open, if there is one."""
    open_ = (part for part in tree.parts if _approximate(part, has_c, otherwise) == otherwise)
    tests = (leaf for part in open_ for leaf in leaves(part) if isinstance(leaf, Test))
    return next((test for test in tests if not has_c(test)), None)
