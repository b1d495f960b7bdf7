"""Many searches at once: of each text that is searched for, four bytes stand for the whole.

One pass over a value looks every four bytes of it up in a bitmap. What is not found there is not in
the value; what is may be, and is looked for where there is time.
"""

from __future__ import annotations

from typing import Any, ClassVar

from etracee.fragments import Py, py, py_literal
from etracee.operators.base import CForm, COperand, CText, Operand, Operator, Refusal
from etracee.types import Kind

LENGTH = 4
"""Bytes that stand for a text."""
WORDS = 1024
"""Words of 64 bits of a bitmap."""


class Holds(Operator):
    """A text holds the four bytes of a search; the kernel takes others of that hash for them."""

    symbol = "holds"
    kinds = frozenset({Kind.TEXT})
    doc = "Four bytes of what is searched for stand in the text."
    examples: ClassVar[tuple[()]] = ()

    def python(self, operand: Operand, constant: Any) -> Py:
        """Look for the bytes themselves."""
        return py("{gram} in {value}", gram=py_literal(constant), value=operand.value)

    def c_form(self, operand: COperand, _constant: Any) -> CForm | Refusal:
        """Ask what the pass over the value has found, for all searches together."""
        if isinstance(operand, CText) and operand.holds is not None:
            return CForm(operand.holds)
        return Refusal("few texts are searched for")


HOLDS = Holds()


def gram_of(text: bytes) -> bytes | None:
    """Return the four bytes that stand for `text`: those with the fewest letters, the last of such.

    Names are mostly letters, so that others are found by chance less often. None for a short text.
    """
    grams = [text[i : i + LENGTH] for i in range(len(text) - LENGTH + 1)]
    return min(reversed(grams), key=_letters, default=None)


def _letters(gram: bytes) -> int:
    return sum(chr(byte).islower() or byte in b"/." for byte in gram)


def hash_gram(gram: bytes) -> int:
    """Return the bit of four bytes, as templates/bpf/find/grams.c.j2 computes it."""
    return (int.from_bytes(gram, "little") * 2654435761 & 0xFFFFFFFF) >> 16


def make_bitmap(grams: frozenset[bytes]) -> bytes:
    """Return the bitmap in which the bits of `grams` are set."""
    bits = 0
    for gram in grams:
        bits |= 1 << hash_gram(gram)
    return bits.to_bytes(WORDS * 8, "little")
