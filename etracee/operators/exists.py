"""`exists`: there is a value."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py
from etracee.operators.base import CForm, COperand, Operand, Operator, Takes
from etracee.types import Kind


class Exists(Operator):
    """Presence of a value; the caller tests for it before any operator is asked."""

    symbol = "exists"
    kinds = frozenset(Kind) - {Kind.TRUTH}
    takes = Takes.NOTHING
    doc = "The value could be read."
    examples = (("filename exists", {"filename": b""}, {"filename": None}),)

    def python(self, _operand: Operand, _constant: Any) -> Py:
        """Say yes: the value is there."""
        return Py("True")

    def c_form(self, _operand: COperand, _constant: Any) -> CForm:
        """Say yes: the value is there."""
        return CForm(C("1"))


OPERATOR = Exists()
