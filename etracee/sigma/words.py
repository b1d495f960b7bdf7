"""Sigma's values as comparisons of the expression language; constants are quoted here alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sigma.types import SigmaRegularExpression, SigmaString, SpecialChars

from etracee.sigma.clauses import NotExpressibleError

Parts = Sequence[str | SpecialChars]

ANY, ONE = SpecialChars.WILDCARD_MULTI, SpecialChars.WILDCARD_SINGLE
_BYTE = r"[\x00-\xff]"
"""One byte, a newline too, in the dialect of RE2 that takes each byte for a character."""
_ENDS = {
    (False, False): "=",
    (True, False): "endswith",
    (False, True): "startswith",
    (True, True): "contains",
}
"""The operator for a text with a * before it, behind it."""


def quote(text: str) -> str:
    r"""Return `text` as a quoted constant: printable ASCII as it is, other bytes as \xNN."""
    return "'" + "".join(map(_quote_byte, text.encode("utf-8", "surrogateescape"))) + "'"


def _quote_byte(byte: int) -> str:
    char = chr(byte)
    if char in "'\\":
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\x{byte:02x}"


def compare_text(value: SigmaString, *, ignore_case: bool) -> tuple[str, str | None]:
    """Return the operator, and the constant that stands behind it if it takes one.

    The constant is not quoted. With `ignore_case`, letters stand for both of their forms.
    NotExpressibleError for a placeholder.
    """
    parts = _without_repeats(value)
    if parts == [ANY]:
        return "exists", None
    if ignore_case and any(_has_case(part) for part in parts if isinstance(part, str)):
        return "matches", _regex(parts, ignore_case=True)
    before, after = parts[:1] == [ANY], parts[-1:] == [ANY]
    inner = parts[before : len(parts) - after]
    if all(isinstance(part, str) for part in inner):
        return _ENDS[before, after], "".join(map(str, inner))
    if any("*" in part or "?" in part for part in inner if isinstance(part, str)):
        return "matches", _regex(parts, ignore_case=False)
    return "like", "".join(part if isinstance(part, str) else _GLOB[part] for part in parts)


_GLOB = {ANY: "*", ONE: "?"}


def _without_repeats(value: SigmaString) -> list[str | SpecialChars]:
    """Return texts and wildcards, texts put together and of several * in a row the first."""
    parts: list[str | SpecialChars] = []
    for part in value.s:
        if not isinstance(part, str | SpecialChars):
            raise NotExpressibleError(f"the placeholder %{part.name}% stands for nothing here")
        if part == ANY and parts[-1:] == [ANY]:
            continue
        last = parts[-1] if parts else None
        if isinstance(part, str) and isinstance(last, str):
            parts[-1] = last + part
        else:
            parts.append(part)
    return parts


def _has_case(text: str) -> bool:
    return text.lower() != text.upper()


def _regex(parts: Parts, *, ignore_case: bool) -> str:
    """Return a regular expression for the whole text; a * at an end leaves that end open."""
    start = "" if parts[:1] == [ANY] else r"\A"
    end = "" if parts[-1:] == [ANY] else r"\z"
    inner = parts[not start : len(parts) - (not end)]
    return start + "".join(_regex_part(part, ignore_case) for part in inner) + end


def _regex_part(part: str | SpecialChars, ignore_case: bool) -> str:
    if isinstance(part, SpecialChars):
        return _BYTE + "*" if part == ANY else _BYTE
    runs = re.findall(r"[\x00-\x7f]+|[^\x00-\x7f]", part)
    return "".join(_literal(run, ignore_case) for run in runs)


def _literal(run: str, ignore_case: bool) -> str:
    """Return the expression for a run of ASCII, or for one other character.

    RE2 would fold the single bytes of a character beyond ASCII, so its forms are listed.
    """
    if not ignore_case or not _has_case(run):
        return _escape(run)
    if run.isascii():
        return f"(?i:{_escape(run)})"
    return f"(?:{'|'.join(map(_escape, sorted({run, run.lower(), run.upper()})))})"


def _escape(text: str) -> str:
    return "".join(map(_escape_byte, text.encode("utf-8", "surrogateescape")))


def _escape_byte(byte: int) -> str:
    char = chr(byte)
    if char in "\\.+*?()|[]{}^$":
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\x{byte:02x}"


def regex_of(value: SigmaRegularExpression) -> str:
    """Return the expression, its flags in front; NotExpressibleError if it is about characters."""
    pattern: str = value.escape(escape_escape_char=False)
    if not pattern.isascii():
        raise NotExpressibleError("a regular expression with characters beyond ASCII")
    if re.search(r"\\[pPC]", pattern):
        raise NotExpressibleError("a regular expression with classes of Unicode")
    return pattern
