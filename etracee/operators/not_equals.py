"""`!=`: another value, of one that is there."""

from __future__ import annotations

from typing import Any

from etracee.fragments import Py, c, py
from etracee.operators.base import CForm, COperand, Operand, Operator
from etracee.operators.equals import equal, equal_in_python
from etracee.types import Kind


class NotEquals(Operator):
    """Inequality; false, as every comparison, where the value is missing."""

    symbol = "!="
    kinds = frozenset({Kind.NUMBER, Kind.FLAGS, Kind.TEXT, Kind.ADDRESS})
    takes_reference = True
    doc = "Another value. A missing value is not another one: this is false, `not x = y` is true."
    examples = (("comm != vim", {"comm": b"cat"}, {"comm": b"vim"}),)

    def python(self, operand: Operand, constant: Any) -> Py:
        """Negate equality."""
        return py("not ({test})", test=equal_in_python(operand, constant))

    def c_form(self, operand: COperand, constant: Any) -> CForm:
        """Negate equality."""
        return CForm(c("!({test})", test=equal(operand, constant)))


OPERATOR = NotEquals()
