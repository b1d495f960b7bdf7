"""`like`: a pattern with * and ?."""

from __future__ import annotations

from typing import Any

from etracee.fragments import C, Py, c, join, py, py_literal
from etracee.operators.base import (
    CForm,
    CFunction,
    COperand,
    CText,
    Operand,
    Operator,
    open_if_cut,
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
        return test if _is_prefix(constant) else open_if_cut(operand, test)

    def longest(self, constant: Any) -> int:
        """Return the bytes that must be there for a pattern that ends in its only *."""
        return len(constant)

    def c_form(self, operand: COperand, constant: Any) -> CForm | None:
        """Match the first and the last piece in place, and search the others in between."""
        assert isinstance(operand, CText)
        pieces = [_pattern(piece) for piece in constant.split(b"*")]
        if sum(map(len, pieces)) > operand.limit:
            return CForm(C("0"))
        test = _whole(operand, pieces[0]) if len(pieces) == 1 else None
        form = CForm(test) if test else _pieces(operand, pieces)
        if form is None:
            return None
        cut = operand.cut if operand.cut and not _is_prefix(constant) else None
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


def _pieces(operand: CText, pieces: list[Pattern]) -> CForm | None:
    """Test length, beginning and end, then find the middle pieces one behind the other."""
    first, *middle, last = pieces
    tests = [
        c("{length} >= {n}", length=operand.length, n=len(first) + len(last)),
        match_at(operand.pointer, first),
    ]
    end = ends_with(operand, last)
    assert end is not None, "the whole pattern was found short enough"
    tests.append(end)
    searched = _find_all(operand, len(first), [piece for piece in middle if piece], len(last))
    if searched is None:
        return None
    tests.append(searched.expression)
    return CForm(c("({tests})", tests=join(" && ", tests, C)), searched.functions)


def _find_all(operand: CText, start: int, pieces: list[Pattern], end: int) -> CForm | None:
    at, functions = c("{start}", start=start), []
    tests = []
    for number, piece in enumerate(pieces):
        function: CFunction | None = search(operand, piece)
        if function is None or number > 0:
            return None
        functions.append(function)
        tests.append(
            c(
                "{name}({pointer}, {length} - {end}, {at}) >= 0",
                name=function.name,
                pointer=operand.pointer,
                length=operand.length,
                end=end,
                at=at,
            )
        )
    return CForm(join(" && ", tests, C) if tests else C("1"), tuple(functions))


def compile(glob: bytes) -> Any:
    """Return the function that says whether bytes fit the glob, in time linear in their length."""
    parts = (
        b".*" if char == b"*" else b"." if char == b"?" else _quote(char) for char in _chars(glob)
    )
    return compile_re2(b"(?s)\\A" + b"".join(parts) + b"\\z")


def _chars(text: bytes) -> list[bytes]:
    return [text[i : i + 1] for i in range(len(text))]


def _quote(char: bytes) -> bytes:
    return char if char.isalnum() else b"\\x%02x" % char[0]


OPERATOR = Like()
