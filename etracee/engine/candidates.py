"""Find, among many conditions, the few that a value can fulfil."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import re2

from etracee.operators.matches import options

_MEMORY = 128 << 20
"""Bytes that the automaton of all patterns may take; it grows with the states that texts reach."""


class Index:
    """Conditions by the values, and by the patterns (RE2), of one field."""

    def __init__(
        self,
        keys: Mapping[Any, tuple[int, ...]],
        patterns: Collection[tuple[bytes, tuple[int, ...]]],
    ) -> None:
        """Each key and each pattern has the numbers of the conditions that need it."""
        self._keys = keys
        self._numbers = [numbers for _, numbers in patterns]
        self._all = tuple(sorted({number for numbers in self._numbers for number in numbers}))
        self._match = _compile([pattern for pattern, _ in patterns])

    def find(self, value: Any) -> tuple[int, ...]:
        """Return the numbers of the conditions that `value` may fulfil, some perhaps twice."""
        found = self._keys.get(value, ())
        if not self._numbers or value is None:
            return found
        if self._match is None:
            return found + self._all
        for position in self._match(value) or ():
            found += self._numbers[position]
        return found


def _compile(patterns: list[bytes]) -> Callable[[bytes], list[int] | None] | None:
    """Return what finds all patterns in one pass; None where they are too large for that.

    An automaton that does not fit into its memory finds nothing, and says so to nobody: whether
    it fits is asked with a pattern that is found everywhere.
    """
    asked = _make_set([*patterns, b""])
    if len(patterns) not in (asked(b"") or ()):
        return None
    return _make_set(patterns)


def _make_set(patterns: list[bytes]) -> Callable[[bytes], list[int] | None]:
    chosen = options()
    chosen.max_mem = _MEMORY
    found = re2.Set.SearchSet(chosen)
    try:
        for pattern in patterns:
            found.Add(pattern)
        found.Compile()
    except re2.error:
        return lambda _: None
    return found.Match  # type: ignore[no-any-return]
