"""Numbers whose names depend on another field: options of sockets, protocols of families."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from etracee.fragments import Py, py, py_literal
from etracee.types.base import Kind, Type, integer, parse_named


class NamedBy(Type):
    """A number that has its names from the table that another field chooses."""

    kind = Kind.NUMBER
    doc = "number, named by another field"

    def __init__(
        self, by: str, tables: Mapping[int, Mapping[str, int]], c: str = "s32", base: int = 10
    ) -> None:
        """`by` is the other field; `tables` gives for its values the names and their numbers.

        With `base: 16`, numbers without a name are text in hexadecimal.
        """
        self.storage = integer(c)
        self.beside = by
        self.tables = tables
        self.base = base

    def shower(self) -> Py:
        """Print the name, or the number where it has none."""
        names = {
            choice: {number: name for name, number in reversed([*table.items()])}
            for choice, table in self.tables.items()
        }
        return py("named_by.show({names}, {base})", names=py_literal(names), base=self.base)

    def parse(self, text: str) -> int:
        """Accept a name of any table, or a number."""
        numbers = {table[text] for table in self.tables.values() if text in table}
        if numbers:
            return min(numbers)
        names = (name for table in self.tables.values() for name in table)
        return parse_named(text, names, f"a name that {self.beside} gives")

    def implied(self, text: str) -> str | None:
        """Return which values of the other field give this name, None of a number."""
        choices = [str(choice) for choice, table in self.tables.items() if text in table]
        return f"{self.beside} in ({', '.join(choices)})" if choices else None


def show(names: Mapping[int, Mapping[int, str]], base: int = 10) -> Callable[..., int | str]:
    """Return the function that prints a number by the table that the other value chooses."""

    def name_of(value: int, choice: int | None = None) -> int | str:
        name = None if choice is None else names.get(choice, {}).get(value)
        return name or (hex(value) if base == 16 else value)

    return name_of


TYPES = {"named_by": NamedBy}
