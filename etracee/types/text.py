"""Strings: bytes without a NUL, whatever they mean."""

from __future__ import annotations

from base64 import b64encode

from etracee.event import Storage
from etracee.fragments import Py, py
from etracee.types.base import VARIABLE, Kind, Type


class Text(Type):
    """A NUL-terminated string in user memory, at most `options.max_string` bytes of it."""

    kind = Kind.TEXT
    capture = "string"
    storage = VARIABLE

    def __init__(self, doc: str = "text") -> None:
        self.doc = doc

    def parse(self, text: str) -> bytes:
        """Take the bytes as they are; expressions carry odd bytes as surrogates."""
        return parse_bytes(text)

    def read_shown(self, shown: object) -> bytes:
        """Return the bytes of a printed string."""
        if not isinstance(shown, str):
            raise ValueError("text was expected")
        return self.parse(shown)


class FixedText(Text):
    """Text in an array of the kernel's, filled up with NULs, such as comm."""

    capture = "array"

    def __init__(self, size: int, doc: str = "text") -> None:
        """`size` counts bytes and includes the closing NUL."""
        super().__init__(doc)
        self.storage = Storage("char", f"{size}s", size, array=size)

    def decode(self, raw: Py) -> Py:
        """Cut at the first NUL: older kernels leave bytes behind it."""
        return py('{raw}.partition(b"\\0")[0]', raw=raw)


def parse_bytes(text: str) -> bytes:
    """Return the bytes of a text; ValueError for a NUL, which no string of the kernel's holds."""
    value = text.encode("utf-8", "surrogateescape")
    if b"\0" in value:
        raise ValueError("a NUL byte is in no string that the kernel passes")
    return value


TYPES = {"text": Text, "path": Text, "fixed_text": FixedText}


def replace_bytes(value: bytes | list[bytes]) -> tuple[object, object]:
    """Return the text with U+FFFD for what is not UTF-8, and the exact bytes in base64.

    Of a list, a list of each.
    """
    if isinstance(value, list):
        shown = [element.decode("utf-8", "replace") for element in value]
        return shown, [b64encode(element).decode() for element in value]
    return value.decode("utf-8", "replace"), b64encode(value).decode()
