"""What the four orderings of numbers share."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py, c, c_int, py
from etracee.operators.base import CForm, CNumber, COperand, Operand, Operator, py_constant
from etracee.types import Kind


class Ordering(Operator):
    """A comparison of numbers by size; its sign is the same in YAML, Python and C."""

    kinds = frozenset({Kind.NUMBER})
    takes_reference = True

    def python(self, operand: Operand, constant: Any) -> Py:
        """Python compares integers of any size."""
        return py(
            "{value} {sign} {n}", value=operand.value, sign=Py(self.symbol), n=py_constant(constant)
        )

    def c_form(self, operand: COperand, constant: Any) -> CForm:
        """Compare as the C type of the slot does, which is wide enough for both sides."""
        assert isinstance(operand, CNumber)
        sign, n = C(self.symbol), c_int(constant)
        return CForm(c("{value} {sign} {n}", value=operand.value, sign=sign, n=n))
