"""Parse the text of an expression into a tree of what was written."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lark

from etracee.expr.tree import AllOf, AnyOf, Not, Word, Written, children
from etracee.operators import all_operators
from etracee.operators.base import Takes

LONGEST = 16_384
"""Bytes of an expression; a longer one belongs into lists and macros."""
DEEPEST = 100
"""Levels of brackets and of `not`."""


@dataclass(frozen=True)
class ExpressionSyntaxError(Exception):
    """What is wrong with an expression, `at` an offset into its text.

    `unexpected` says that a word stood where it may not, or that the text ended: what happens when
    YAML has cut or split it.
    """

    message: str
    at: int
    hint: str | None = None
    unexpected: bool = False


def parse(text: str) -> Any:
    """Return the tree of `text`; ExpressionSyntaxError if it has none."""
    if len(text) > LONGEST:
        raise ExpressionSyntaxError(f"the expression is longer than {LONGEST} characters", 0)
    try:
        tree = _parser().parse(text)
    except lark.exceptions.VisitError as error:
        raise error.orig_exc from None
    except lark.exceptions.UnexpectedInput as error:
        raise _explain(text, error) from None
    return tree


@functools.cache
def _parser() -> lark.Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text()
    terminals = [
        _terminal("OPERATOR", [op.symbol for op in _operators() if op.takes is not Takes.NOTHING]),
        _terminal("NO_OPERAND", [op.symbol for op in _operators() if op.takes is Takes.NOTHING]),
    ]
    source = "\n".join([grammar, *terminals])
    return lark.Lark(source, parser="lalr", transformer=_Builder(), maybe_placeholders=False)


def _operators() -> list[Any]:
    return list(all_operators().values())


def _terminal(name: str, symbols: list[str]) -> str:
    """Return a terminal of signs and words; a longer sign goes first, a word ends where it ends."""
    ordered = sorted(symbols, key=len, reverse=True)
    pattern = "|".join(re.escape(s) + (r"(?![A-Za-z0-9_])" if s.isalpha() else "") for s in ordered)
    return f"{name}.4: /{pattern}/"


class _Builder(lark.Transformer[Any, Any]):
    """Builds the tree while the text is parsed, so that nothing recurses over what a user wrote."""

    def any(self, parts: list[Any]) -> Any:
        return _shallow(AnyOf(tuple(parts)))

    def all(self, parts: list[Any]) -> Any:
        return _shallow(AllOf(tuple(parts)))

    def negate(self, parts: list[Any]) -> Any:
        return _shallow(Not(parts[0]))

    def compare(self, parts: list[Any]) -> Written:
        name, operator, operand = parts
        words = operand if isinstance(operand, tuple) else (operand,)
        return Written(
            str(name),
            name.start_pos,
            str(operator),
            operator.start_pos,
            words,
            is_list=isinstance(operand, tuple),
        )

    def compare_nothing(self, parts: list[Any]) -> Written:
        return Written(str(parts[0]), parts[0].start_pos, str(parts[1]), parts[1].start_pos)

    def truth(self, parts: list[Any]) -> Written:
        return Written(str(parts[0]), parts[0].start_pos)

    def macro(self, parts: list[Any]) -> Written:
        return Written(parts[0][1:], parts[0].start_pos, macro=True)

    def words(self, parts: list[Any]) -> tuple[Word, ...]:
        return tuple(parts)

    def word(self, parts: list[Any]) -> Word:
        return Word(str(parts[0]), parts[0].start_pos, parts[0].end_pos)

    def quoted(self, parts: list[Any]) -> Word:
        text = _unescape(parts[0][1:-1], parts[0].start_pos + 1)
        return Word(text, parts[0].start_pos, parts[0].end_pos)

    def reference(self, parts: list[Any]) -> Word:
        return Word(parts[0][1:], parts[0].start_pos, parts[0].end_pos, reference=True)


@functools.lru_cache(maxsize=65_536)
def _depth(tree: Any) -> int:
    return 1 + max((_depth(child) for child in children(tree)), default=0)


def _shallow(tree: Any) -> Any:
    if _depth(tree) > DEEPEST:
        raise ExpressionSyntaxError(f"the expression nests deeper than {DEEPEST} levels", 0)
    return tree


_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def _unescape(text: str, at: int) -> str:
    def replace(match: re.Match[str]) -> str:
        code = match[1]
        if code.startswith("x") and len(code) == 3:
            byte = bytes([int(code[1:], 16)])
            return byte.decode("ascii", "surrogateescape")
        if code.isalnum() and code not in _ESCAPES:
            raise ExpressionSyntaxError(
                f"\\{code} is no escape", at + match.start(), "known are \\n \\t \\r \\0 \\xNN"
            )
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(replace, text)


_EXPECTED = {
    "NAME": "a field",
    "OPERATOR": "an operator",
    "NO_OPERAND": "an operator",
    "WORD": "a value",
    "QUOTED": "a value",
    "LPAR": "'('",
    "RPAR": "')'",
    "AND": "'and'",
    "OR": "'or'",
    "$END": "the end",
}


def _explain(text: str, error: lark.exceptions.UnexpectedInput) -> ExpressionSyntaxError:
    allowed = getattr(error, "allowed", None) or getattr(error, "accepts", None) or ()
    names = sorted({_EXPECTED[name] for name in allowed if name in _EXPECTED})
    expected = f", expected {', '.join(names)}" if names else ""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return ExpressionSyntaxError(
            f"the expression ends too early{expected}", len(text), unexpected=True
        )
    at = error.pos_in_stream or 0
    found = _found(text, at)
    message = f"unexpected {found!r}{expected}"
    return ExpressionSyntaxError(message, at, _hint(found, names), unexpected=True)


def _hint(found: str, expected: list[str]) -> str | None:
    if found[:1] in ("'", '"'):
        return "the quote is not closed"
    if "an operator" in expected:
        return f"operators are {' '.join(sorted(all_operators()))}"
    return None


def _found(text: str, at: int) -> str:
    match = re.match(r"[^\s()]{1,30}|[()]", text[at:])
    return match[0] if match else text[at : at + 1]
