"""`startswith`: the text's first bytes."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py, c, py
from etracee.operators.base import (
    CForm,
    COperand,
    CText,
    Lookup,
    Operand,
    Operator,
    py_constant,
    quote_re2,
)
from etracee.operators.ctext import match_at, says
from etracee.types import Kind


class StartsWith(Operator):
    """A text's beginning."""

    symbol = "startswith"
    kinds = frozenset({Kind.TEXT})
    takes_reference = True
    doc = "The text begins with these bytes."
    examples = (("filename startswith /etc/", {"filename": b"/etc/x"}, {"filename": b"/et"}),)

    def python(self, operand: Operand, constant: Any) -> Py:
        """A cut text still has all the bytes that are compared."""
        return py("{value}.startswith({text})", value=operand.value, text=py_constant(constant))

    def lookup(self, constant: Any) -> Lookup:
        """Look for a pattern at the beginning."""
        return Lookup(patterns=(b"\\A" + quote_re2(constant),))

    def c_form(self, operand: COperand, constant: Any) -> CForm:
        """Compare words."""
        assert isinstance(operand, CText)
        if len(constant) > operand.limit:
            return CForm(C("0"))
        if operand.terminated:
            test = match_at(operand.pointer, constant)
            return CForm(c("({says}{test})", says=says(constant), test=test))
        return CForm(
            c(
                "({says}{length} >= {n} && {test})",
                says=says(constant),
                length=operand.length,
                n=len(constant),
                test=match_at(operand.pointer, constant),
            )
        )


OPERATOR = StartsWith()
