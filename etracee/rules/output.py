"""Output templates of rules: text with {field} in it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """A piece of a message: text, or the field whose value stands there; `at` is its offset."""

    text: str
    is_field: bool
    at: int


_PIECE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.]*)\}|([{}])|[^{}]+")


def parse_output(template: str) -> tuple[Piece, ...]:
    """Return the pieces of `template`; {{ and }} stand for braces.

    ValueError, with the offset as second argument, for a brace that neither is doubled nor
    encloses a field's name.
    """
    pieces = []
    for match in _PIECE.finditer(template):
        if match[2]:
            raise ValueError(
                f"{match[2]} stands alone: write {{field}}, or {match[2] * 2}", match.start()
            )
        text = match[1] or match[0].replace("{{", "{").replace("}}", "}")
        pieces.append(Piece(text, bool(match[1]), match.start()))
    return tuple(pieces)
