"""Split an expression: the kernel's part is true at least as often as the whole."""

from __future__ import annotations

from collections.abc import Callable

from etracee.expr.tree import NO, YES, AllOf, AnyOf, Not, Test, Tree, both, either, negate


def widen(tree: Tree, has_c: Callable[[Test], bool]) -> Tree:
    """Return the tree with every test that has no C form replaced, so that it is true more often.

    Where nothing had to be replaced the result equals `tree`, and the kernel decides alone.
    """
    return _approximate(tree, has_c, YES)


def _approximate(tree: Tree, has_c: Callable[[Test], bool], otherwise: Tree) -> Tree:
    if isinstance(tree, Test):
        return tree if has_c(tree) else otherwise
    if isinstance(tree, Not):
        return negate(_approximate(tree.inner, has_c, NO if otherwise == YES else YES))
    if isinstance(tree, AllOf):
        return both(*(_approximate(part, has_c, otherwise) for part in tree.parts))
    if isinstance(tree, AnyOf):
        return either(*(_approximate(part, has_c, otherwise) for part in tree.parts))
    return tree
