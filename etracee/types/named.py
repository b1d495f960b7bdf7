"""Numbers that have names: address families, signals, special descriptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from etracee.fragments import Py, py, py_literal
from etracee.types.base import Kind, Names, Part, Type, integer, parse_named


class Named(Type):
    """A number of which some values have a name, which is then printed in its place."""

    kind = Kind.NUMBER

    def __init__(self, names: Names, c: str = "s32") -> None:
        """`names` gives each name its number; the first name of a number is the one printed."""
        self.storage = integer(c)
        self.names = names
        self.doc = names.noun

    def shower(self) -> Py:
        """Print the name, or the number where it has none."""
        names = {value: name for name, value in reversed(self.names.items())}
        return py("named.show({names})", names=py_literal(names))

    def parse(self, text: str) -> int:
        """Accept a name or a number."""
        if text in self.names:
            return self.names[text]
        return parse_named(text, self.names, f"a known {self.names.noun}")


def show(names: Mapping[int, str]) -> Callable[[int], int | str]:
    """Return the function that prints a number by its name."""

    def name_of(value: int) -> int | str:
        return names.get(value, value)

    return name_of


class Result(Named):
    """What a call returned: errors are negative, and may be written by their name.

    With `base: 16`, what is no error is an address: text in hexadecimal.
    """

    def __init__(self, names: Names, c: str = "s64", base: int = 10) -> None:
        super().__init__(names, c)
        self.doc = "result"
        self.base = base

    @property
    def parts(self) -> Mapping[str, Part]:
        """The error, so that failures can be told without all the other results."""
        doc = "Error of a call that failed, by its name; null when it succeeded."
        return {"error": Part(Named(self.names, "u32"), doc, error, "result_error")}

    def shower(self) -> Py | None:  # type: ignore[override]
        """JSON has the number of an error, as strace's -E… has no place for a value."""
        return Py("named.show_address") if self.base == 16 else None

    def parse(self, text: str) -> int:
        """Accept a number, or an error's name with or without its minus: both mean -errno."""
        name = text.removeprefix("-")
        if name in self.names:
            return -self.names[name]
        number = super().parse(text)
        return number - (1 << 64) if self.base == 16 and number >> 63 == 1 else number


MOST_ERROR = 4095
"""The greatest error number: MAX_ERRNO, include/linux/err.h. Results below are addresses."""
_ALL_BITS = (1 << 64) - 1


def error(ret: int) -> int | None:
    """Return the error's number; None when the call succeeded."""
    return -ret if -MOST_ERROR <= ret < 0 else None


def show_address(ret: int) -> int | str:
    """Return an address as text, and an error as its number."""
    return ret if error(ret) else hex(ret & _ALL_BITS)


TYPES = {"named": Named, "signal": Named, "result": Result}
