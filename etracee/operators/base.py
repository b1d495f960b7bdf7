"""What every operator answers, and what it is given in C."""

from __future__ import annotations

import enum
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from etracee.fragments import C, Py, py, py_literal
from etracee.types import Kind, Type


class Takes(enum.Enum):
    """What stands behind an operator."""

    NOTHING = "nothing"
    ONE = "a value"
    MANY = "a list, a range or a network"
    ONE_OR_MANY = "a value or a list"


@dataclass(frozen=True)
class CNumber:
    """A number in C. `exists` is None where the value is always there."""

    value: C
    exists: C | None = None


@dataclass(frozen=True)
class CText:
    """Bytes in C: `pointer` to them, `length` in bytes, at most `limit`.

    Behind the limit as many bytes again and 64 more may be read. `cut` says whether the value was
    longer than its buffer, `exists` whether it could be read; None where that cannot be, or is
    always so. `terminated` says that a NUL follows, so that the length need not be looked at.
    `end` points behind the last byte, and at least `before` bytes before it may be read. `rough`
    says that an answer will do that is true too often. `holds` says whether anything of all that
    is searched for was found, where one pass has looked for it.
    """

    pointer: C
    length: C
    limit: int
    exists: C | None = None
    cut: C | None = None
    terminated: bool = False
    end: C | None = None
    before: int = 0
    rough: bool = False
    holds: C | None = None


@dataclass(frozen=True)
class CAddress:
    """A 128-bit address in C, as two u64 in host order."""

    high: C
    low: C
    exists: C | None = None


COperand = CNumber | CText | CAddress


@dataclass(frozen=True)
class CFunction:
    """A static inline function that a C form needs; two with one name are the same."""

    name: C
    body: C


@dataclass(frozen=True)
class CForm:
    """A C expression that is 0 or 1, and the functions it calls."""

    expression: C
    functions: tuple[CFunction, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why a comparison is left to Python: what stands behind `because`."""

    reason: str


@dataclass(frozen=True)
class Lookup:
    """What is looked up instead of comparing.

    A comparison is true only where the value is one of `keys`, or one of `patterns` (RE2, not
    anchored) finds something in it.
    """

    keys: tuple[Any, ...] = ()
    patterns: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Operand:
    """A field's value in Python: its source, and where it can be cut, whether it was."""

    value: Py
    cut: Py | None
    left_open: Py
    """Source that counts an answer left open by a cut, and is False."""
    hoist: Callable[[Py], Py]
    """Puts source in front, to be evaluated once, and returns the name of its value."""
    is_list: bool = False


class Operator:
    """An operator. `examples` are expressions, each with values that fulfil it and that don't."""

    symbol: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    takes: ClassVar[Takes] = Takes.ONE
    takes_reference: ClassVar[bool] = False
    """Whether the constant of the Python form may be the variable of another value."""
    doc: ClassVar[str]
    examples: ClassVar[Sequence[tuple[str, Any, Any]]]

    def read(self, kind: Type, words: Sequence[str]) -> Any:
        """Return the constant that the words behind the operator mean; ValueError if they don't."""
        return kind.parse(words[0])

    def longest(self, constant: Any) -> int:
        """Return the bytes a text must be captured to for an answer that a cut leaves closed."""
        return len(constant) if isinstance(constant, bytes) else 0

    def python(self, operand: Operand, constant: Any) -> Py:
        """Return the Python form, for a value that is there."""
        raise NotImplementedError

    def lookup(self, _constant: Any) -> Lookup | None:
        """Return what can be looked up in place of a comparison with `constant`, if anything."""
        return None

    def needs_end(self, _constant: Any) -> bool:
        """Say whether the end of a text decides, which a cut text has lost."""
        return False

    def may_stay_open(self, constant: Any) -> bool:
        """Say whether a value that was cut can leave the answer open."""
        return self.needs_end(constant)

    def required(self, _constant: Any) -> bytes:
        """Return bytes that stand in every text for which the comparison is true."""
        return b""

    def implied(self, _constant: Any) -> tuple[str, Any] | None:
        """Return another operator and constant, true wherever this is, that may have a C form."""
        return None

    def c_form(self, _operand: COperand, _constant: Any) -> CForm | Refusal:
        """Return the C form, for a value that is there, or why it has none."""
        return Refusal(f"`{self.symbol}` has no form in C")


def quote_re2(text: bytes) -> bytes:
    """Return a pattern of RE2 that finds just these bytes."""
    return b"".join(b"%c" % byte if byte in _PLAIN else b"\\x%02x" % byte for byte in text)


_PLAIN = b"%s%s" % (string.ascii_letters.encode(), string.digits.encode())


def py_constant(constant: Any) -> Py:
    """Return the source of a constant, or the variable that holds it."""
    return constant if isinstance(constant, Py) else py_literal(constant)


def open_if_cut(operand: Operand, test: Py) -> Py:
    """Return `test`, which says nothing of a value that was cut."""
    if operand.cut is None:
        return test
    return py("({open} if {cut} else {test})", open=operand.left_open, cut=operand.cut, test=test)


def open_unless_true(operand: Operand, test: Py) -> Py:
    """Return `test`, of which only a yes holds for a value that was cut."""
    if operand.cut is None:
        return test
    return py("({test} or ({cut} and {open}))", test=test, cut=operand.cut, open=operand.left_open)


def no_if_cut(operand: Operand, test: Py) -> Py:
    """Return `test` for equality with a text: what was cut is longer than what is left of it."""
    if operand.cut is None:
        return test
    return py("({test} and not {cut})", test=test, cut=operand.cut)
