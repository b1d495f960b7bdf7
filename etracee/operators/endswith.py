"""`endswith`: the text's last bytes."""

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
    open_if_cut,
    py_constant,
    quote_re2,
)
from etracee.operators.ctext import ends_with, says
from etracee.types import Kind


class EndsWith(Operator):
    """A text's end, which a cut text has lost."""

    symbol = "endswith"
    kinds = frozenset({Kind.TEXT})
    takes_reference = True
    doc = "The text ends with these bytes. Of a cut text the end is not known: false, and counted."
    examples = (("filename endswith .so", {"filename": b"a.so"}, {"filename": b"a.so.1"}),)

    def python(self, operand: Operand, constant: Any) -> Py:
        """Leave the answer open for a cut text."""
        test = py("{value}.endswith({text})", value=operand.value, text=py_constant(constant))
        return open_if_cut(operand, test)

    def needs_end(self, _constant: Any) -> bool:
        """Say yes."""
        return True

    def lookup(self, constant: Any) -> Lookup:
        """Look for a pattern at the end."""
        return Lookup(patterns=(quote_re2(constant) + b"\\z",))

    def c_form(self, operand: COperand, constant: Any) -> CForm:
        """Compare at the end; a cut text does not match."""
        assert isinstance(operand, CText)
        if operand.rough and operand.end is not None and len(constant) >= 4:
            word = int.from_bytes(constant[-4:], "little")
            return CForm(
                c("{says}LAST({end}) == {n}", says=says(constant), end=operand.end, n=word)
            )
        test = ends_with(operand, constant)
        if test is None:
            return CForm(C("0"))
        whole = c("!{cut} && ", cut=operand.cut) if operand.cut else C("")
        return CForm(c("({whole}{says}{test})", whole=whole, says=says(constant), test=test))


OPERATOR = EndsWith()
