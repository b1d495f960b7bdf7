"""Find comparisons of which one must be true for an expression to be true.

They can be looked up all at once, however many expressions there are.
"""

from __future__ import annotations

from etracee.expr.tree import AllOf, AnyOf, Fixed, Reference, Test, Tree
from etracee.operators.base import Lookup
from etracee.types import Kind

Guard = tuple[tuple[str, Lookup], ...]
"""Names of fields, each with what must be found there; one of them is enough."""


def guard_of(tree: Tree) -> Guard | None:
    """Return the guard of `tree`; None where there is none, so that it must be tested each time."""
    if isinstance(tree, Test):
        return _of_test(tree)
    if isinstance(tree, AllOf):
        guards = [guard for guard in map(guard_of, tree.parts) if guard is not None]
        return min(guards, key=_cost, default=None)
    if isinstance(tree, AnyOf):
        parts = [guard_of(part) for part in tree.parts]
        known = [guard for guard in parts if guard is not None]
        return sum(known, ()) if len(known) == len(parts) else None
    return () if isinstance(tree, Fixed) and not tree.value else None


def _of_test(test: Test) -> Guard | None:
    if isinstance(test.constant, Reference) or test.field.kind is Kind.TEXTS:
        return None
    lookup = test.operator.lookup(test.constant)
    return None if lookup is None else ((test.field.name, lookup),)


def _cost(guard: Guard) -> tuple[int, int]:
    """Prefer keys to patterns, and few to many; the name of a program is shared by many events."""
    patterns = sum(len(lookup.patterns) for _, lookup in guard)
    keys = sum(len(lookup.keys) for _, lookup in guard)
    return patterns, keys
