"""Lists of strings: argument vectors."""

from __future__ import annotations

from etracee.fragments import Py, py
from etracee.types.base import VARIABLE, Kind, Type
from etracee.types.text import parse_bytes


class Texts(Type):
    """A NULL-terminated vector of strings: at most `options.max_argv` bytes, NULs counted."""

    kind = Kind.TEXTS
    capture = "strings"
    storage = VARIABLE

    def __init__(self, doc: str = "list of texts") -> None:
        self.doc = doc

    def decode(self, raw: Py) -> Py:
        """Split at the NULs that close each string."""
        return py("texts.split({raw})", raw=raw)

    def parse(self, text: str) -> bytes:
        """Return one element."""
        return parse_bytes(text)

    def read_shown(self, shown: object) -> list[bytes]:
        """Return the elements of a printed list."""
        if not isinstance(shown, list) or not all(isinstance(element, str) for element in shown):
            raise ValueError("a list of texts was expected")
        return [parse_bytes(element) for element in shown]


def split(raw: bytes) -> list[bytes]:
    """Return the strings of `raw`; the last may lack its NUL, where it was cut."""
    return raw.removesuffix(b"\0").split(b"\0") if raw else []


TYPES = {"texts": Texts}
