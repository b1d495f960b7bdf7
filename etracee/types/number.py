"""Plain integers: ids, sizes, descriptors, addresses of memory."""

from __future__ import annotations

from etracee.fragments import Py
from etracee.types.base import Kind, Type, integer, parse_integer


class Number(Type):
    """An integer, printed in decimal or, with `base: 16`, as text in hexadecimal."""

    kind = Kind.NUMBER

    def __init__(self, c: str = "s64", base: int = 10, missing: int | None = None) -> None:
        """`c` is the width and sign that the kernel uses, such as u32.

        `missing` is the number that stands for none.
        """
        self.storage = integer(c)
        self.base, self.missing = base, missing
        self.doc = {10: "number", 16: "hexadecimal number"}[base]

    def shower(self) -> Py | None:
        """Masks and pointers are text, since JSON readers round numbers beyond 53 bits."""
        return Py("hex") if self.base == 16 else None

    def parse(self, text: str) -> int:
        """Accept what C would: 10, 0x0a, 0o12."""
        return parse_integer(text)


class Descriptor(Number):
    """A file descriptor; the file behind it is a field of its own."""

    def __init__(self, c: str = "s32") -> None:
        super().__init__(c)
        self.doc = "file descriptor"


TYPES = {"number": Number, "descriptor": Descriptor}
