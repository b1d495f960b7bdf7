"""Find out whether one value can fulfil several comparisons of a field.

Each answer of no is certain; where it is not, the answer is yes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from etracee.expr.evaluate import compile_tree
from etracee.expr.tree import Literal, Reference, both, negate
from etracee.types import Kind
from etracee.types.base import bounds

MOST_COMBINATIONS = 256
"""Combinations of flags that are tried."""

Ranges = list[tuple[int, int]]
"""Numbers from the first to the last of each pair, in order."""


def can_be_all(literals: Sequence[Literal]) -> bool:
    """Say whether a value of the field may fulfil all of the comparisons, a missing one apart."""
    said: dict[tuple[str, Any], bool] = {}
    for literal in literals:
        symbol, is_true = _symbol(literal)
        if said.setdefault((symbol, literal.test.constant), is_true) != is_true:
            return False
    if said.get(("exists", None)) is False:
        return False
    known = [
        literal
        for literal in literals
        if not isinstance(literal.test.constant, Reference)
        and literal.test.operator.symbol != "exists"
    ]
    decide = _BY_KIND.get(literals[0].test.field.kind)
    return not known or decide is None or decide(known)


def _symbol(literal: Literal) -> tuple[str, bool]:
    """Return operator and answer, those of != turned into those of =."""
    symbol = literal.test.operator.symbol
    return ("=", not literal.is_true) if symbol == "!=" else (symbol, literal.is_true)


def _number(literals: Sequence[Literal]) -> bool:
    low, high = bounds(literals[0].test.field.type.storage)
    return _in_ranges(literals, low, high)


def _address(literals: Sequence[Literal]) -> bool:
    return _in_ranges(literals, 0, (1 << 128) - 1)


def _in_ranges(literals: Sequence[Literal], low: int, high: int) -> bool:
    allowed = [(low, high)]
    for literal in literals:
        symbol, is_true = _symbol(literal)
        if symbol not in _RANGES:
            continue  # nothing is known of it, so it may be true
        fitting = _RANGES[symbol](literal.test.constant, low, high)
        allowed = _common(allowed, fitting if is_true else _others(fitting, low, high))
    return bool(allowed)


_RANGES: dict[str, Callable[[Any, int, int], Ranges]] = {
    "=": lambda n, _low, _high: [(n, n)],
    "<": lambda n, low, _high: [(low, n - 1)],
    "<=": lambda n, low, _high: [(low, n)],
    ">": lambda n, _low, high: [(n + 1, high)],
    ">=": lambda n, _low, high: [(n, high)],
    "in": lambda ranges, _low, _high: sorted(ranges),
}


def _common(one: Ranges, other: Ranges) -> Ranges:
    found = []
    one, other = one[::-1], other[::-1]
    while one and other:
        first, last = max(one[-1][0], other[-1][0]), min(one[-1][1], other[-1][1])
        if first <= last:
            found.append((first, last))
        (one if one[-1][1] <= other[-1][1] else other).pop()
    return found


def _others(ranges: Ranges, low: int, high: int) -> Ranges:
    found = []
    for first, last in ranges:
        if low < first:
            found.append((low, first - 1))
        low = max(low, last + 1)
    return [*found, (low, high)] if low <= high else found


_ALL_BITS = (1 << 64) - 1
Bits = tuple[int, int]
"""A value and the mask of those bits that count."""


def _flags(literals: Sequence[Literal]) -> bool:
    wanted: list[tuple[Bits, ...]] = []
    forbidden: list[Bits] = []
    for literal in literals:
        symbol, is_true = _symbol(literal)
        if symbol not in ("=", "has"):
            continue
        constant = literal.test.constant
        members = ((constant, _ALL_BITS),) if symbol == "=" else constant
        if is_true:
            wanted.append(members)
        else:
            forbidden += members
    for number, choice in enumerate(itertools.product(*wanted)):
        if number == MOST_COMBINATIONS or _fit(choice, forbidden):
            return True
    return False


def _fit(choice: Iterable[Bits], forbidden: Iterable[Bits]) -> bool:
    known = value = 0
    for bits, mask in choice:
        if (bits ^ value) & mask & known or bits & ~mask:
            return False
        known, value = known | mask, value | bits
    return not any(mask & known == mask and value & mask == bits for bits, mask in forbidden)


def _text(literals: Sequence[Literal]) -> bool:
    for literal in literals:
        symbol, is_true = _symbol(literal)
        if is_true and symbol in ("=", "in"):
            constant = literal.test.constant
            return _any_fits(constant if symbol == "in" else (constant,), literals)
    return _pieces_fit(literals)


def _any_fits(candidates: Iterable[bytes], literals: Sequence[Literal]) -> bool:
    """Try the values themselves; one that is equal to a text was not cut."""
    name = literals[0].test.field.name
    if len(literals) == 1:
        return True
    parts = (literal.test if literal.is_true else negate(literal.test) for literal in literals)
    answer = compile_tree(both(*parts))
    return any(answer({name: candidate}, ()) for candidate in candidates)


def _pieces_fit(literals: Sequence[Literal]) -> bool:
    """Compare what a text must begin with, end with and contain with what it must not."""
    begins, ends, inside = b"", b"", []
    for literal in literals:
        if literal.is_true:
            begin, middle, end = _pieces(literal)
            if not (begins.startswith(begin) or begin.startswith(begins)):
                return False
            if not (ends.endswith(end) or end.endswith(ends)):
                return False
            begins, ends = max(begins, begin, key=len), max(ends, end, key=len)
            inside.append(middle)
    has = {
        "startswith": begins.startswith,
        "endswith": ends.endswith,
        "contains": lambda text: any(text in piece for piece in (begins, ends, *inside)),
    }
    return not any(
        has[literal.test.operator.symbol](literal.test.constant)
        for literal in literals
        if not literal.is_true and literal.test.operator.symbol in has
    )


def _pieces(literal: Literal) -> tuple[bytes, bytes, bytes]:
    """Return what a text that fulfils it begins with, contains, and ends with."""
    split = _PIECES.get(literal.test.operator.symbol)
    return split(literal.test.constant) if split else (b"", b"", b"")


def _pieces_of_glob(glob: bytes) -> tuple[bytes, bytes, bytes]:
    first, *rest = re.split(rb"[*?]", glob)
    return first, b"", rest[-1] if rest else first


_PIECES: dict[str, Callable[[bytes], tuple[bytes, bytes, bytes]]] = {
    "startswith": lambda text: (text, b"", b""),
    "endswith": lambda text: (b"", b"", text),
    "contains": lambda text: (b"", text, b""),
    "like": _pieces_of_glob,
}

_BY_KIND: dict[Kind, Callable[[Sequence[Literal]], bool]] = {
    Kind.NUMBER: _number,
    Kind.ADDRESS: _address,
    Kind.FLAGS: _flags,
    Kind.TEXT: _text,
}
