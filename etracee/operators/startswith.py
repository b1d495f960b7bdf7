"""`startswith`: the text's first bytes."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py, c, py, py_literal
from etracee.operators.base import CForm, COperand, CText, Operand, Operator
from etracee.operators.ctext import match_at, says
from etracee.types import Kind


class StartsWith(Operator):
    """A text's beginning."""

    symbol = "startswith"
    kinds = frozenset({Kind.TEXT})
    doc = "The text begins with these bytes."
    examples = (("filename startswith /etc/", {"filename": b"/etc/x"}, {"filename": b"/et"}),)

    def python(self, operand: Operand, constant: Any) -> Py:
        """A cut text still has all the bytes that are compared."""
        return py("{value}.startswith({text})", value=operand.value, text=py_literal(constant))

    def c_form(self, operand: COperand, constant: Any) -> CForm | None:
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
