"""Split an expression: the kernel's part is true at least as often as the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from etracee.expr.tree import (
    NO,
    YES,
    AllOf,
    AnyOf,
    Not,
    Reference,
    Test,
    Tree,
    both,
    either,
    leaves,
    negate,
)
from etracee.operators import all_operators


def widen(tree: Tree, has_c: Callable[[Test], bool]) -> Tree:
    """Return the tree with every test that has no C form replaced, so that it is true more often.

    In its place stands one that it implies, or nothing. Where nothing had to be replaced the
    result equals `tree`, and the kernel decides alone.
    """
    return _approximate(tree, has_c, YES)


def implied_by(test: Test) -> Test | None:
    """Return a test that is true wherever `test` is, as a prefix is of a pattern; None without."""
    if isinstance(test.constant, Reference):
        return None
    implied = test.operator.implied(test.constant)
    if implied is None:
        return None
    symbol, constant = implied
    text = f"{test.field.name} {symbol} {constant.decode('utf-8', 'backslashreplace')}"
    return Test(test.field, all_operators()[symbol], constant, text)


def _approximate(tree: Tree, has_c: Callable[[Test], bool], otherwise: Tree) -> Tree:
    if isinstance(tree, Test):
        if has_c(tree):
            return tree
        implied = implied_by(tree) if otherwise == YES else None
        return implied if implied is not None and has_c(implied) else otherwise
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
    the kernel could not use its answer, and None where the kernel makes it. `asked` is the
    comparison that the kernel makes in its place, if any.
    """

    test: Test
    blocker: Test | None
    asked: Test | None = None


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
            yield Share(tree, tree, asked if isinstance(asked, Test) and not blocker else None)
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
