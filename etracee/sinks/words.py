"""How values read in text for people: control characters are escaped, texts may be quoted."""

from __future__ import annotations

import errno
import re

from etracee.problems import printable

_PLAIN = re.compile(r"[^\s\"'=\\]+")
"""A text that ends where the next space is."""


def value_of(value: object, *, quote: bool) -> str:
    """Return a value; - is one that is missing."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(value_of(element, quote=quote) for element in value)}]"
    return quoted(str(value)) if quote else printable(str(value))


def word_of(value: object) -> str:
    """Return a value that is not set off by commas: quoted where its end would not be seen."""
    is_plain = not isinstance(value, str) or _PLAIN.fullmatch(value)
    return value_of(value, quote=not is_plain)


def quoted(text: str) -> str:
    """Return a text in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def result_of(ret: int | str | None) -> str:
    """Return what a call returned as strace shows it, that of a call which does not return too.

    An address is text.
    """
    if not isinstance(ret, int):
        return ret or "?"
    name = f" {errno.errorcode[-ret]}" if -ret in errno.errorcode else ""
    return f"{ret}{name}"
