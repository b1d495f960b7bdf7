"""`=`: the same value."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py, c, c_int, py
from etracee.operators.base import (
    CAddress,
    CForm,
    CNumber,
    COperand,
    CText,
    Lookup,
    Operand,
    Operator,
    no_if_cut,
    py_constant,
)
from etracee.operators.ctext import match_at, says
from etracee.types import Kind


class Equals(Operator):
    """Equality of numbers, flag sets, texts and addresses."""

    symbol = "="
    kinds = frozenset({Kind.NUMBER, Kind.FLAGS, Kind.TEXT, Kind.ADDRESS})
    takes_reference = True
    doc = "The same value. Texts are compared byte for byte, flag sets as a whole."
    examples = (
        ("uid = 1000", {"uid": 1000}, {"uid": 0}),
        ("filename = /etc/shadow", {"filename": b"/etc/shadow"}, {"filename": b"/etc/shadow-"}),
        ("addr = 10.0.0.1", {"addr": "::ffff:10.0.0.1"}, {"addr": "10.0.0.2"}),
    )

    def python(self, operand: Operand, constant: Any) -> Py:
        """A cut text is longer than the bytes that are left of it."""
        return equal_in_python(operand, constant)

    def lookup(self, constant: Any) -> Lookup:
        """Look the value itself up."""
        return Lookup(keys=(constant,))

    def c_form(self, operand: COperand, constant: Any) -> CForm:
        """Compare words, a text's closing NUL included."""
        return CForm(equal(operand, constant))


def equal_in_python(operand: Operand, constant: Any) -> Py:
    """Return Python source that is true where the value is `constant`."""
    test = py("{value} == {constant}", value=operand.value, constant=py_constant(constant))
    return no_if_cut(operand, test)


def equal(operand: COperand, constant: Any) -> C:
    """Return C that is true where the value is `constant`."""
    if isinstance(operand, CNumber):
        return c("{value} == {constant}", value=operand.value, constant=c_int(constant))
    if isinstance(operand, CText):
        return equal_text(operand, constant)
    return equal_address(operand, constant)


def equal_text(operand: CText, constant: bytes) -> C:
    """Return C that is true where the text is `constant`."""
    if len(constant) > operand.limit:
        return C("0")
    if operand.terminated:
        test = match_at(operand.pointer, constant + b"\0")
        return c("({says}{test})", says=says(constant), test=test)
    test = match_at(operand.pointer, constant)
    return c(
        "({says}{length} == {n} && {test})",
        says=says(constant),
        length=operand.length,
        n=len(constant),
        test=test,
    )


def equal_address(operand: CAddress, constant: int) -> C:
    """Return C that is true where both halves of the address are the constant's."""
    return c(
        "({high} == {first} && {low} == {second})",
        high=operand.high,
        low=operand.low,
        first=c_int(constant >> 64),
        second=c_int(constant & 0xFFFFFFFFFFFFFFFF),
    )


OPERATOR = Equals()
