"""Sets of bits with names, printed as strace prints them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

from etracee.fragments import Py, py, py_literal
from etracee.types.base import Kind, Type, integer, parse_named

FlagNames = Sequence[tuple[str, int, int]]
"""Name, value, mask: a name stands in a set when `set & mask == value`."""


_CSIGNAL = 0xFF
"""The signal that clone(2) is given among its flags: include/uapi/linux/sched.h."""

Groups = Mapping[int, Mapping[str, int]]


class Flags(Type):
    """A set of flags; a group of bits that holds one value of several is told by its mask."""

    kind = Kind.FLAGS

    def __init__(
        self,
        bits: Mapping[str, int],
        doc: str,
        groups: Groups | None = None,
        shifted: Groups | None = None,
        c: str = "u32",
        signals: Mapping[str, int] | None = None,
        query: int | None = None,
        number: int | None = None,
    ) -> None:
        """`bits` are single flags in the order of printing; `groups` has masks and their values.

        With `signals`, the low byte is the number of one of these, printed last. `shifted` has the
        same as `groups` for what is printed behind the flags; `number` are the bits of a plain
        number, printed last. `query` is a number that is no set, but asks for the one in effect.
        """
        self.number = number
        self.storage = integer(c)
        self.query = query
        self.doc = f"flags ({doc})"
        low = _CSIGNAL if signals else 0
        single = ((n, value, value) for n, value in bits.items() if not value & low)
        self.signals = {number: name for name, number in reversed(dict(signals or {}).items())}
        self.bits: FlagNames = (*_members(groups or {}), *single, *_members(shifted or {}))
        self.names: FlagNames = (*self.bits, *((n, v, low) for v, n in self.signals.items()))

    def shower(self) -> Py:
        """Print names joined by |, the unknown rest in hexadecimal, an empty set as 0."""
        bits = py_literal(self.bits)
        if self.signals:
            return py("flags.show_with_signal({b}, {s})", b=bits, s=py_literal(self.signals))
        if self.number is not None:
            return py("flags.show_with_number({b}, {n})", b=bits, n=self.number)
        if self.query is not None:
            return py("flags.show({b}, {q})", b=bits, q=self.query)
        return py("flags.show({b})", b=bits)

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
        names = (name for name, _, _ in self.names)
        number = parse_named(word, names, f"one of the {self.doc}")
        return number, number


def _members(groups: Groups) -> Iterator[tuple[str, int, int]]:
    for mask, group in groups.items():
        yield from ((name, value, mask) for name, value in group.items())


def show(names: FlagNames, query: int | None = None) -> Callable[[int], str]:
    """Return the function that prints a set; it remembers the sets it has met."""

    @functools.lru_cache(maxsize=4096)
    def print_set(value: int) -> str:
        if value == query:
            return hex(value)
        found, rest = [], value
        for name, member, mask in names:
            if value & mask == member and (member & rest or not member):
                found.append(name)
                rest &= ~mask
        if rest:
            found.append(hex(rest))
        return "|".join(found) or "0"

    return print_set


def show_with_number(names: FlagNames, mask: int) -> Callable[[int], str]:
    """Return the function that prints a set, then the number in the bits of `mask`."""
    print_flags = show(names)

    def print_set(value: int) -> str:
        number = value & mask
        return f"{print_flags(value - number)}|{number}" if value > number else str(number)

    return print_set


def show_with_signal(names: FlagNames, signals: Mapping[int, str]) -> Callable[[int], str]:
    """Return the function that prints a set, then the signal in its low byte, if there is one."""
    print_flags = show(names)

    def print_set(value: int) -> str:
        number = value & _CSIGNAL
        if not number:
            return print_flags(value)
        signal = signals.get(number, str(number))
        return f"{print_flags(value - number)}|{signal}" if value > _CSIGNAL else signal

    return print_set


TYPES = {"flags": Flags}
