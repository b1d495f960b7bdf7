"""`has`: flags of a set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etracee.fragments import C, Py, c, c_int, join, py
from etracee.operators.base import CForm, CNumber, COperand, Operand, Operator, Takes
from etracee.types import Kind, Type
from etracee.types.flags import Flags
from etracee.types.mode import Mode


class Has(Operator):
    """All bits of a flag; the constant is a tuple of (value, mask), of which one must fit."""

    symbol = "has"
    kinds = frozenset({Kind.FLAGS})
    takes = Takes.ONE_OR_MANY
    doc = (
        "All bits of a flag are set; of a list, those of any. O_RDWR and its like count as a group."
    )
    examples = (
        ("flags has O_CREAT", {"flags": 0o101}, {"flags": 0o1}),
        ("flags has (O_WRONLY, O_RDWR)", {"flags": 0o2}, {"flags": 0o100}),
        ("mode has 04000", {"mode": 0o4755}, {"mode": 0o755}),
    )

    def read(self, kind: Type, words: Sequence[str]) -> Any:
        """Read each flag as value and mask."""
        assert isinstance(kind, Flags | Mode)
        return tuple(kind.parse_member(word) for word in words)

    def python(self, operand: Operand, constant: Any) -> Py:
        """Compare the masked bits."""
        tests = [
            py("{value} & {mask} == {bits}", value=operand.value, mask=mask, bits=bits)
            for bits, mask in constant
        ]
        return py("({tests})", tests=join(" or ", tests, Py))

    def c_form(self, operand: COperand, constant: Any) -> CForm:
        """Compare the masked bits."""
        assert isinstance(operand, CNumber)
        tests = [
            c("({v} & {mask}) == {bits}", v=operand.value, mask=c_int(mask), bits=c_int(bits))
            for bits, mask in constant
        ]
        return CForm(c("({tests})", tests=join(" || ", tests, C)))


OPERATOR = Has()
