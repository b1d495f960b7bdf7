"""Events as lines of JSON, put together from pieces that are remembered by their raw values.

Most of what a record holds was in one before: who made the call, its flags, the name of a file. The
generated decoder asks for the JSON of such values here, and encodes only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec

encode = msgspec.json.Encoder().encode
MOST_PIECES = 4096
LARGEST_PIECE = 1024
"""Pieces of one kind that are remembered, and characters of each: 4 MB, were all the largest.

Whoever opens files chooses their names: what is larger, or no text, is made anew each time.
"""


class Pieces(dict[Any, Any]):
    """The JSON of raw values, a text or several, made by `make` where it is not known yet.

    None stands for values that a line cannot hold as they are, such as bytes that are no UTF-8.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Any], str | tuple[str, ...]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, raw: Hashable) -> str | tuple[str, ...] | None:
        try:
            made = self._make(raw)
        except UnicodeDecodeError:
            return None
        size = len(made) if isinstance(made, str) else sum(map(len, made))
        if size <= LARGEST_PIECE:
            if len(self) >= MOST_PIECES:
                self.clear()
            self[raw] = made
        return made


def encode_line(item: object) -> str:
    """Return a line of JSON; msgspec escapes control characters, so none breaks it."""
    return encode(item).decode() + "\n"


def encode_text(raw: bytes | None) -> str:
    """Return a text as JSON; UnicodeDecodeError for bytes that are none."""
    return "null" if raw is None else encode(raw.decode()).decode()


def encode_members(values: Mapping[str, object]) -> str:
    """Return keys and values as they stand between the braces of an object."""
    return encode(values)[1:-1].decode()
