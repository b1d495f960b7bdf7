"""`like`: a pattern with * and ?."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py, c, join, py, py_literal
from etracee.operators.base import (
    CForm,
    COperand,
    CText,
    Lookup,
    Operand,
    Operator,
    Refusal,
    open_if_cut,
    quote_re2,
)
from etracee.operators.ctext import Pattern, ends_with, match_at, says, search
from etracee.operators.matches import compile_re2
from etracee.types import Kind


class Like(Operator):
    """A glob over the whole text: * is any bytes, / among them, ? is one byte."""

    symbol = "like"
    kinds = frozenset({Kind.TEXT})
    doc = "The whole text fits a pattern: * stands for any bytes (also /), ? for one byte."
    examples = (
        ("filename like /tmp/*.sh", {"filename": b"/tmp/a/b.sh"}, {"filename": b"/tmp/a.sh2"}),
        ("filename like /dev/sd?", {"filename": b"/dev/sda"}, {"filename": b"/dev/sda1"}),
    )

    def python(self, operand: Operand, constant: Any) -> Py:
        """Leave the answer open for a cut text, unless only what is there decides."""
        pattern = operand.hoist(py("like.compile({glob})", glob=py_literal(constant)))
        test = py("{pattern}({value})", pattern=pattern, value=operand.value)
        return open_if_cut(operand, test) if self.needs_end(constant) else test

    def needs_end(self, constant: Any) -> bool:
        """Say no for a pattern that ends in its only *."""
        return not _is_prefix(constant)

    def longest(self, constant: Any) -> int:
        """Return the bytes that must be there: a * needs none."""
        return sum(map(len, constant.split(b"*")))

    def implied(self, constant: Any) -> tuple[str, Any] | None:
        """Return the pattern without what stands between its stars."""
        pieces = constant.split(b"*")
        if not any(pieces[1:-1]) or not (pieces[0] or pieces[-1]):
            return None
        return "like", pieces[0] + b"*" + pieces[-1]

    def required(self, constant: Any) -> bytes:
        """Return the longest piece between wildcards."""
        return max(bytes(constant).replace(b"?", b"*").split(b"*"), key=len)

    def lookup(self, constant: Any) -> Lookup:
        """Look for the pattern itself."""
        return Lookup(patterns=(_translate(constant),))

    def c_form(self, operand: COperand, constant: Any) -> CForm | Refusal:
        """Match the first and the last piece in place, and search the others in between."""
        assert isinstance(operand, CText)
        pieces = [_pattern(piece) for piece in constant.split(b"*")]
        if sum(map(len, pieces)) > operand.limit:
            return CForm(C("0"))
        test = _whole(operand, pieces[0]) if len(pieces) == 1 else None
        form = CForm(test) if test else _pieces(operand, pieces)
        if isinstance(form, Refusal):
            return form
        cut = operand.cut if self.needs_end(constant) else None
        whole = c("!{cut} && ", cut=cut) if cut else C("")
        return CForm(
            c("({whole}{says}{t})", whole=whole, says=says(constant), t=form.expression),
            form.functions,
        )


def _is_prefix(glob: bytes) -> bool:
    return glob.find(b"*") == len(glob) - 1


def _pattern(piece: bytes) -> Pattern:
    return [None if byte == ord("?") else byte for byte in piece]


def _whole(operand: CText, pattern: Pattern) -> C:
    return c(
        "({length} == {n} && {test})",
        length=operand.length,
        n=len(pattern),
        test=match_at(operand.pointer, pattern),
    )


def _pieces(operand: CText, pieces: list[Pattern]) -> CForm | Refusal:
    """Test length, beginning and end, then find the middle pieces one behind the other."""
    first, *middle, last = pieces
    tests = [
        c("{length} >= {n}", length=operand.length, n=len(first) + len(last)),
        match_at(operand.pointer, first),
    ]
    end = ends_with(operand, last)
    assert end is not None, "the whole pattern was found short enough"
    tests.append(end)
    searched = _find(operand, len(first), [piece for piece in middle if piece], len(last))
    if isinstance(searched, Refusal):
        return searched
    tests.append(searched.expression)
    return CForm(c("({tests})", tests=join(" && ", tests, C)), searched.functions)


def _find(operand: CText, start: int, pieces: list[Pattern], end: int) -> CForm | Refusal:
    """Search what stands between the stars, from `start` on and `end` bytes before the end."""
    if not pieces:
        return CForm(C("1"))
    if len(pieces) > 1:
        return Refusal(f"{len(pieces)} pieces between its stars would have to be searched")
    function = search(operand, pieces[0])
    if isinstance(function, Refusal):
        return function
    found = c(
        "{name}({pointer}, {length} - {end}, {start})",
        name=function.name,
        pointer=operand.pointer,
        length=operand.length,
        end=end,
        start=start,
    )
    return CForm(found, (function,))


def compile(glob: bytes) -> Any:
    """Return the function that says whether bytes fit the glob, in time linear in their length."""
    return compile_re2(_translate(glob))


def _translate(glob: bytes) -> bytes:
    """Return the glob as a pattern of RE2."""
    chars = (glob[i : i + 1] for i in range(len(glob)))
    wild = {b"*": b".*", b"?": b"."}
    parts = (wild.get(char) or quote_re2(char) for char in chars)
    return b"(?s)\\A" + b"".join(parts) + b"\\z"


OPERATOR = Like()
