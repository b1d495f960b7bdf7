"""Sets of bits with names, printed as strace prints them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from etracee.fragments import Py, py, py_literal
from etracee.types.base import Kind, Type, integer, parse_integer

FlagNames = Sequence[tuple[str, int, int]]
"""Name, value, mask: a name stands in a set when `set & mask == value`."""


class Flags(Type):
    """A set of flags; a group of bits that holds one value of several is told by its mask."""

    kind = Kind.FLAGS

    def __init__(
        self,
        bits: Mapping[str, int],
        doc: str,
        groups: Mapping[int, Mapping[str, int]] | None = None,
        c: str = "u32",
    ) -> None:
        """`bits` are single flags in the order of printing; `groups` has masks and their values."""
        self.storage = integer(c)
        self.doc = f"flags ({doc})"
        grouped = ((n, v, mask) for mask, group in (groups or {}).items() for n, v in group.items())
        self.names: FlagNames = (*grouped, *((name, value, value) for name, value in bits.items()))

    def shower(self) -> Py:
        """Print names joined by |, the unknown rest in hexadecimal, an empty set as 0."""
        return py("flags.show({names})", names=py_literal(self.names))

    def parse(self, text: str) -> int:
        """Accept a name, names joined by |, or a number."""
        return self.parse_member(text)[0]

    def parse_member(self, text: str) -> tuple[int, int]:
        """Return value and mask of `text`: a set has it when `set & mask == value`."""
        members = [self._parse_word(word) for word in text.split("|")]
        return functools.reduce(lambda a, b: (a[0] | b[0], a[1] | b[1]), members)

    def _parse_word(self, word: str) -> tuple[int, int]:
        for name, value, mask in self.names:
            if name == word:
                return value, mask
        try:
            number = parse_integer(word)
        except ValueError:
            raise ValueError(f"{word!r} is neither a number nor one of {self.doc}") from None
        return number, number


def show(names: FlagNames) -> Callable[[int], str]:
    """Return the function that prints a set; it remembers the sets it has met."""

    @functools.lru_cache(maxsize=4096)
    def print_set(value: int) -> str:
        found, rest = [], value
        for name, member, mask in names:
            if value & mask == member and (member & rest or not member):
                found.append(name)
                rest &= ~mask
        if rest:
            found.append(hex(rest))
        return "|".join(found) or "0"

    return print_set


TYPES = {"flags": Flags}
