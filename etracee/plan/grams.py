"""Fields that are searched for many texts get a bitmap: one pass looks for them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etracee.expr.tree import Test
from etracee.operators.grams import HOLDS, make_bitmap

FEWEST = 3
"""Searches of a field for which one pass for all pays."""


@dataclass(frozen=True)
class Grams:
    """What stands for the texts that are searched for in a field: four bytes of each."""

    field: str
    members: frozenset[bytes]

    def encode(self) -> bytes:
        """Return the bitmap."""
        return make_bitmap(self.members)


def build_grams(tests: Iterable[Test]) -> dict[str, Grams]:
    """Return the bitmaps by field name, for fields with FEWEST searches or more."""
    by_field: dict[str, set[bytes]] = {}
    for test in tests:
        is_fixed = test.field.type.storage.array is not None
        if test.operator is HOLDS and not is_fixed:
            by_field.setdefault(test.field.name, set()).add(test.constant)
    return {
        name: Grams(name, frozenset(members))
        for name, members in by_field.items()
        if len(members) >= FEWEST
    }
