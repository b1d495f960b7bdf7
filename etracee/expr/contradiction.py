"""Find expressions that nothing can fulfil.

An expression is taken apart into conjunctions of comparisons, and those of one field are held
against each other. Where this is too much work, or needs more than one field, an expression counts
as one that can be fulfilled: what is called a contradiction is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from etracee.expr.domains import can_be_all
from etracee.expr.tree import AllOf, Fixed, Literal, Not, Test, Tree

MOST_CONJUNCTIONS = 128
MOST_STEPS = 20_000
MOST_SHOWN = 64
"""Comparisons of a contradiction beyond which the needless ones are not looked for."""


def contradiction_in(tree: Tree) -> tuple[Literal, ...] | None:
    """Return comparisons of one field that exclude each other, where nothing can fulfil `tree`.

    None where something may; nothing where the expression is false without any comparison. Of
    several alternatives, what stands in the way of the first is returned.
    """
    first: tuple[Literal, ...] | None = None
    for number, literals in enumerate(_conjunctions(tree)):
        clash = _clash(literals)
        if clash is None or number == MOST_CONJUNCTIONS:
            return None
        first = first or clash
    return first or ()


def _conjunctions(tree: Tree) -> Iterator[tuple[Literal, ...]]:
    """Yield conjunctions of which one must be true; an empty one stands for all that remain."""
    stack: list[_State] = [(((tree, True), None), None)]
    for _ in range(MOST_STEPS):
        if not stack:
            return
        pending, literals = stack.pop()
        if pending is None:
            yield tuple(_unlinked(literals))
        else:
            (node, is_true), rest = pending
            stack += _followed(node, is_true, rest, literals)
    yield ()


_State = tuple[Any, Any]
"""What must still become true, and the comparisons that must be so: linked lists."""


def _followed(node: Tree, is_true: bool, rest: Any, literals: Any) -> Iterable[_State]:
    """Return the states that follow when `node` has to have that answer, the first one last."""
    if isinstance(node, Test):
        return [(rest, (Literal(node, is_true), literals))]
    if isinstance(node, Fixed):
        return [(rest, literals)] if node.value == is_true else []
    if isinstance(node, Not):
        return [(((node.inner, not is_true), rest), literals)]
    if isinstance(node, AllOf) != is_true:
        return [(((part, is_true), rest), literals) for part in reversed(node.parts)]
    for part in reversed(node.parts):
        rest = ((part, is_true), rest)
    return [(rest, literals)]


def _unlinked(linked: Any) -> list[Any]:
    items = []
    while linked is not None:
        item, linked = linked
        items.append(item)
    return items[::-1]


def _clash(literals: Iterable[Literal]) -> tuple[Literal, ...] | None:
    by_field: dict[str, list[Literal]] = {}
    for literal in dict.fromkeys(literals):
        by_field.setdefault(literal.test.field.name, []).append(literal)
    for together in by_field.values():
        if not _can_be(together):
            return _without_needless(together)
    return None


def _can_be(literals: list[Literal]) -> bool:
    """Say whether one value may fulfil all; a missing one fulfils what only negates."""
    return not any(literal.is_true for literal in literals) or can_be_all(literals)


def _without_needless(literals: list[Literal]) -> tuple[Literal, ...]:
    kept = literals
    for literal in literals if len(literals) <= MOST_SHOWN else ():
        fewer = [other for other in kept if other is not literal]
        if not _can_be(fewer):
            kept = fewer
    return tuple(kept)
