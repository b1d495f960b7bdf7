"""`contains`: bytes anywhere in a text, or an element of a list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from etracee.fragments import C, Py, c, py
from etracee.operators.base import (
    CForm,
    COperand,
    CText,
    Lookup,
    Operand,
    Operator,
    Refusal,
    open_unless_true,
    py_constant,
    quote_re2,
)
from etracee.operators.ctext import says, search
from etracee.types import Kind


class Contains(Operator):
    """A substring of a text; an equal element of a list of texts."""

    symbol = "contains"
    kinds = frozenset({Kind.TEXT, Kind.TEXTS})
    takes_reference = True
    doc = "The bytes stand anywhere in the text; a list of texts has an element equal to them."
    examples = (
        ("filename contains shadow", {"filename": b"/etc/shadow-"}, {"filename": b"/etc/passwd"}),
        ("argv contains -c", {"argv": [b"sh", b"-c"]}, {"argv": [b"sh", b"-cx"]}),
    )

    def python(self, operand: Operand, constant: Any) -> Py:
        """What is found is there; what is not found may stand behind the cut.

        The last element of a cut list may itself be cut, and is not compared.
        """
        if operand.is_list and operand.cut is not None:
            whole = py("({v}[:-1] if {cut} else {v})", v=operand.value, cut=operand.cut)
            operand = replace(operand, value=whole)
        test = py("{text} in {value}", text=py_constant(constant), value=operand.value)
        return open_unless_true(operand, test)

    def required(self, constant: Any) -> bytes:
        """All of it."""
        return bytes(constant)

    def may_stay_open(self, _constant: Any) -> bool:
        """What is not found may stand behind the cut."""
        return True

    def lookup(self, constant: Any) -> Lookup:
        """Look for the bytes."""
        return Lookup(patterns=(quote_re2(constant),))

    def c_form(self, operand: COperand, constant: Any) -> CForm | Refusal:
        """Search, where the verifier can follow."""
        assert isinstance(operand, CText)
        if not constant:
            return CForm(C("1"))
        if len(constant) > operand.limit:
            return CForm(C("0"))
        function = search(operand, constant)
        if isinstance(function, Refusal):
            return function
        call = c(
            "({says}{name}({pointer}, {length}, 0))",
            says=says(constant),
            name=function.name,
            pointer=operand.pointer,
            length=operand.length,
        )
        return CForm(call, (function,))


OPERATOR = Contains()
