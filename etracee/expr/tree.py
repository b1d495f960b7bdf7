"""Expressions as they were written, and as they are once every name and value is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from etracee.catalog.model import Field
from etracee.fragments import Py, py_variable
from etracee.operators import Operator


@dataclass(frozen=True)
class Word:
    """A value as it was written, its quotes and escapes undone.

    It stands in the text from offset `at` up to `end`.
    """

    text: str
    at: int
    end: int
    reference: bool = False


@dataclass(frozen=True)
class Written:
    """A comparison, a macro or a boolean field as it was written."""

    name: str
    at: int
    operator: str | None = None
    operator_at: int = 0
    words: tuple[Word, ...] = ()
    is_list: bool = False
    macro: bool = False


@dataclass(frozen=True)
class Reference:
    """The value that `field` had in the event of an earlier step of a sequence."""

    step: str
    field: str

    @property
    def key(self) -> str:
        """Return the name of the value among those of fields: no field's begins with a capital."""
        step = self.step.replace("_", "_u").replace("-", "_d")
        return f"OF_{step}.{self.field}"

    @property
    def variable(self) -> Py:
        """Return the Python variable that holds the value, None where it is missing."""
        return py_variable(self.key)


@dataclass(frozen=True)
class Test:
    """A comparison whose field, operator and constant are known."""

    field: Field
    operator: Operator
    constant: Any
    text: str

    __test__ = False  # not a test case, whatever pytest thinks of the name


@dataclass(frozen=True)
class Literal:
    """A comparison, and the answer that it has to give."""

    test: Test
    is_true: bool

    def __str__(self) -> str:
        return f"`{self.test.text}`" if self.is_true else f"`not {self.test.text}`"


@dataclass(frozen=True)
class Fixed:
    """An answer that no value changes."""

    value: bool


@dataclass(frozen=True)
class Not:
    """True where `inner` is false."""

    inner: Any


@dataclass(frozen=True)
class AllOf:
    """True where all are."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class AnyOf:
    """True where one is."""

    parts: tuple[Any, ...]


Tree = Test | Fixed | Not | AllOf | AnyOf
"""A checked expression."""

YES, NO = Fixed(True), Fixed(False)


def both(*parts: Tree) -> Tree:
    """Return the conjunction, without what does not matter to it."""
    kept = tuple(dict.fromkeys(part for part in _flat(parts, AllOf) if part != YES))
    if NO in kept:
        return NO
    return AllOf(kept) if len(kept) > 1 else kept[0] if kept else YES


def either(*parts: Tree) -> Tree:
    """Return the disjunction, without what does not matter to it."""
    kept = tuple(dict.fromkeys(part for part in _flat(parts, AnyOf) if part != NO))
    if YES in kept:
        return YES
    return AnyOf(kept) if len(kept) > 1 else kept[0] if kept else NO


def negate(tree: Tree) -> Tree:
    """Return the negation."""
    if isinstance(tree, Fixed):
        return Fixed(not tree.value)
    return tree.inner if isinstance(tree, Not) else Not(tree)


def _flat(parts: tuple[Tree, ...], kind: type[AllOf | AnyOf]) -> Iterator[Tree]:
    for part in parts:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part


def children(tree: Any) -> tuple[Any, ...]:
    """Return the expressions directly under `tree`."""
    if isinstance(tree, Not):
        return (tree.inner,)
    return tree.parts if isinstance(tree, AllOf | AnyOf) else ()


def leaves(tree: Any) -> Iterator[Any]:
    """Return what `tree` is made of: tests and fixed answers, from left to right."""
    below = children(tree)
    if not below:
        yield tree
    for child in below:
        yield from leaves(child)
