"""Lists of strings: argument vectors, and lists of names."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import Py, py
from etracee.types.base import VARIABLE, Kind, Part, Type
from etracee.types.text import Text, parse_bytes

POSITIONS = 10
"""Strings of a vector that are fields of their own, counted from its beginning."""


class TextList(Type):
    """A list of texts."""

    kind = Kind.TEXTS
    storage = VARIABLE

    def __init__(self, doc: str = "list of texts") -> None:
        self.doc = doc

    def parse(self, text: str) -> bytes:
        """Return one element."""
        return parse_bytes(text)

    def read_shown(self, shown: object) -> list[bytes]:
        """Return the elements of a printed list."""
        if not isinstance(shown, list) or not all(isinstance(element, str) for element in shown):
            raise ValueError("a list of texts was expected")
        return [parse_bytes(element) for element in shown]


class Texts(TextList):
    """A NULL-terminated vector of strings: at most `options.max_argv` bytes, NULs counted."""

    capture = "strings"

    @property
    def parts(self) -> Mapping[str, Part]:
        """The command line, and the first strings one by one."""
        line = Part(Text("command line"), "All arguments, joined by single spaces.", cmdline, None)
        return {"cmdline": line} | {
            f"arg{index}": Part(
                Text("argument"), f"Argument {index}; 0 is the name.", argument, None, (index,)
            )
            for index in range(POSITIONS)
        }

    def decode(self, raw: Py) -> Py:
        """Split at the NULs that close each string."""
        return py("texts.split({raw})", raw=raw)


def split(raw: bytes) -> list[bytes]:
    """Return the strings of `raw`; the last may lack its NUL, where it was cut."""
    return raw.removesuffix(b"\0").split(b"\0") if raw else []


def cmdline(argv: list[bytes]) -> bytes:
    """Return the arguments joined by spaces; which of the spaces joined them is lost."""
    return b" ".join(argv)


def argument(argv: list[bytes], index: int) -> bytes | None:
    """Return one of the arguments, None where there are fewer."""
    return argv[index] if index < len(argv) else None


TYPES = {"texts": Texts, "text_list": TextList}
