"""`matches`: a regular expression."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import re2

try:
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # before Python 3.11
    import sre_parse as _parser

from etracee.fragments import Py, py, py_literal
from etracee.operators.base import Lookup, Operand, Operator, open_if_cut, open_unless_true
from etracee.types import Kind, Type


class Matches(Operator):
    """A regular expression of RE2, which takes linear time whatever the pattern and the text."""

    symbol = "matches"
    kinds = frozenset({Kind.TEXT})
    doc = "A regular expression (RE2, not anchored, over bytes) finds something in the text."
    examples = (
        (
            "filename matches '^/proc/[0-9]+/mem$'",
            {"filename": b"/proc/1/mem"},
            {"filename": b"/proc/self/mem"},
        ),
    )

    def read(self, _kind: Type, words: Sequence[str]) -> bytes:
        """Compile the pattern once, so that a wrong one is found now."""
        pattern = words[0].encode("utf-8", "surrogateescape")
        compile_re2(pattern)
        return pattern

    def longest(self, _constant: Any) -> int:
        """Say 0: the pattern's own length tells nothing."""
        return 0

    def python(self, operand: Operand, constant: Any) -> Py:
        """Of a cut text, only a find that no end of text was needed for is sure."""
        find = operand.hoist(py("matches.compile_re2({p})", p=py_literal(constant)))
        test = py("{find}({value})", find=find, value=operand.value)
        return (open_if_cut if self.needs_end(constant) else open_unless_true)(operand, test)

    def needs_end(self, constant: Any) -> bool:
        """Look for what only an end can fulfil, or might."""
        return any(mark in constant for mark in (b"$", b"\\z", b"\\b", b"\\B"))

    def required(self, constant: Any) -> bytes:
        """Return the longest row of plain bytes that nothing makes optional."""
        return _plain_row(constant)

    def implied(self, constant: Any) -> tuple[str, Any] | None:
        """Return the plain bytes that a text must begin with, if the pattern begins with them."""
        prefix = _plain_beginning(constant)
        return ("startswith", prefix) if prefix else None

    def may_stay_open(self, _constant: Any) -> bool:
        """What is not found may stand behind the cut."""
        return True

    def lookup(self, constant: Any) -> Lookup:
        """Look for the pattern itself."""
        return Lookup(patterns=(constant,))


_PLAIN = re.compile(rb"\^((?:[A-Za-z0-9/_,:;=@%&~#<>!\"' -]|\\[^A-Za-z0-9])*)(.?)", re.DOTALL)


def _plain_beginning(pattern: bytes) -> bytes:
    """Return the bytes that all texts begin with that a pattern finds; none where it is not sure.

    Alternatives and flags may lift what the beginning asks for; `*`, `?` and `{` the byte before.
    """
    found = _PLAIN.match(pattern)
    if found is None or b"|" in pattern or b"(?" in pattern:
        return b""
    pieces = re.findall(rb"\\?.", found[1], re.DOTALL)
    if found[2] and found[2] in b"*?{":
        pieces = pieces[:-1]
    return b"".join(piece[-1:] for piece in pieces)


def _plain_row(pattern: bytes) -> bytes:
    """Return the longest row of bytes that stands in every text that the pattern finds.

    The standard library's parser is asked, which takes nearly the same patterns: what it does not
    take, or takes with flags, has no such row. It is as sure as it needs to be, since whatever it
    reads as a plain byte is one for RE2.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return b""
    if parsed.state.flags & ~re.ASCII:
        return b""
    rows, row = [b""], b""
    for kind, value in parsed:
        if kind is _parser.LITERAL:
            row += bytes([value])
        else:
            rows.append(row)
            row = b""
    return max([*rows, row], key=len)


def options() -> re2.Options:
    """Return the options of all patterns: they are over bytes, and errors are raised."""
    chosen = re2.Options()
    chosen.encoding = re2.Options.Encoding.LATIN1
    chosen.log_errors = False
    return chosen


def compile_re2(pattern: bytes) -> Callable[[bytes], bool]:
    """Return the function that says whether the pattern is found; ValueError if it is none."""
    try:
        search = re2.compile(pattern, options()).search
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"not a regular expression of RE2: {text}") from None
    return lambda text: search(text) is not None


OPERATOR = Matches()
