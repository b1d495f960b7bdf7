"""Sets, prefixes and networks that are too many to compare with become maps: one trie for a field.

A BPF trie (BPF_MAP_TYPE_LPM_TRIE, kernel/bpf/lpm_trie.c) finds the longest entry that a key begins
with. Every comparison of the field has a bit, and an entry's mask has the bits of all comparisons
that are true of a key that begins with it: those of shorter entries too, since only the longest
is found. A text that must be equal is an entry with its closing NUL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from etracee.catalog import Field
from etracee.event import Storage
from etracee.expr.tree import Reference, Test
from etracee.types import Kind

INLINE = 16
"""Constants of a field that are still compared one by one: faster than a look-up, and readable."""
SHORTEST = 2
"""Bytes of a text for which a look-up pays: nearly every name begins with `/`."""
LONGEST_KEY = 256
"""Bytes of a key's data: LPM_DATA_SIZE_MAX, kernel/bpf/lpm_trie.c."""
MOST_WORDS = 32
"""Words of a mask, so comparisons times 64; those beyond are decided in Python."""

Prefix = tuple[int, int]
"""Leading bits of a key, left-aligned to its whole width, and how many of them count."""


@dataclass(frozen=True)
class Trie:
    """A trie of one field: `size` bytes of key data, `words` of 64 bits of mask.

    `bits` gives each comparison its place, `entries` each prefix its mask.
    """

    field: str
    kind: Kind
    size: int
    words: int
    bits: Mapping[tuple[str, object], int]
    entries: tuple[tuple[Prefix, int], ...]

    def bit(self, test: Test) -> int | None:
        """Return the comparison's place in the mask, None if it has none."""
        return self.bits.get((test.operator.symbol, test.constant))

    def encode_key(self, prefix: Prefix) -> bytes:
        """Return the bytes of `struct bpf_lpm_trie_key`."""
        value, length = prefix
        return length.to_bytes(4, "little") + value.to_bytes(self.size, "big")

    def encode_mask(self, mask: int) -> bytes:
        """Return the bytes of an entry's value."""
        return mask.to_bytes(8 * self.words, "little")


def build_tries(tests: Iterable[Test]) -> dict[str, Trie]:
    """Return tries by field name for comparisons with more than INLINE constants in all."""
    by_field: dict[str, dict[tuple[str, object], Test]] = {}
    for test in tests:
        if test.operator.symbol in _OPERATORS and not isinstance(test.constant, Reference):
            known = by_field.setdefault(test.field.name, {})
            known[test.operator.symbol, test.constant] = test
    found = (_build(name, list(tests.values())) for name, tests in by_field.items())
    return {trie.field: trie for trie in found if trie}


_OPERATORS = ("=", "in", "startswith")


def _build(name: str, tests: list[Test]) -> Trie | None:
    size = _key_size(tests[0])
    if size is None:
        return None
    wanted = [(test, _prefixes(test, size)) for test in tests]
    usable = [(test, prefixes) for test, prefixes in wanted if prefixes is not None]
    if sum(len(prefixes) for _, prefixes in usable) <= INLINE:
        return None
    usable = usable[: MOST_WORDS * 64]
    own: dict[Prefix, int] = {}
    bits = {}
    for number, (test, prefixes) in enumerate(usable):
        bits[test.operator.symbol, test.constant] = number
        for prefix in prefixes:
            own[prefix] = own.get(prefix, 0) | 1 << number
    entries = tuple(_with_shorter(own, size))
    return Trie(name, tests[0].field.kind, size, -(-len(usable) // 64), bits, entries)


def _key_size(test: Test) -> int | None:
    storage: Storage | None = getattr(test.field.type, "storage", None)
    if test.field.kind is Kind.TEXT:
        return storage.array if storage and storage.array else LONGEST_KEY
    return {Kind.NUMBER: 8, Kind.ADDRESS: 16}.get(test.field.kind)


def _prefixes(test: Test, size: int) -> list[Prefix] | None:
    """Return the keys of which the comparison is true; None where they have no place here."""
    symbol, constant = test.operator.symbol, test.constant
    if test.field.kind is Kind.TEXT:
        texts = constant if symbol == "in" else (constant,)
        ends = b"" if symbol == "startswith" else b"\0"
        if any(len(text + ends) > size for text in texts) or min(map(len, texts)) < SHORTEST:
            return None
        return [_text_prefix(text + ends, size) for text in texts]
    if symbol != "in":
        return None
    bias = bias_of(test.field)
    return [p for low, high in constant for p in _range(low + bias, high + bias, size * 8)]


def bias_of(field: Field) -> int:
    """Return what is added to a number, so that negative ones stand before the others as a key."""
    is_signed = field.kind is Kind.NUMBER and field.type.storage.c_type != "u64"
    return 1 << 63 if is_signed else 0


def _text_prefix(text: bytes, size: int) -> Prefix:
    return int.from_bytes(text.ljust(size, b"\0"), "big"), len(text) * 8


def _range(low: int, high: int, width: int) -> Iterator[Prefix]:
    """Yield the prefixes that cover the numbers from `low` to `high`, both included."""
    while low <= high:
        free = (low & -low).bit_length() - 1 if low else width
        while (1 << free) - 1 > high - low:
            free -= 1
        yield low, width - free
        low += 1 << free


def _with_shorter(own: Mapping[Prefix, int], size: int) -> Iterator[tuple[Prefix, int]]:
    """Yield each entry with the masks of the shorter ones that it begins with."""
    width = size * 8
    lengths = sorted({length for _, length in own})
    for value, length in own:
        mask = 0
        for shorter in lengths:
            if shorter <= length:
                kept = value >> (width - shorter) << (width - shorter)
                mask |= own.get((kept, shorter), 0)
        yield (value, length), mask
