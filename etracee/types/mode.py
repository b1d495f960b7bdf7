"""File modes: permission bits, printed in octal."""

from __future__ import annotations

import functools

from etracee.fragments import Py
from etracee.types.base import Kind, Type, integer


class Mode(Type):
    """Permission bits with set-id and sticky bits, printed as strace does: 0644."""

    kind = Kind.FLAGS
    doc = "file mode"

    def __init__(self, c: str = "u16") -> None:
        self.storage = integer(c)

    def shower(self) -> Py:
        """Print at least three octal digits, the first of them a 0."""
        return Py("mode.show")

    def parse(self, text: str) -> int:
        """Read octal digits, with or without 0 or 0o before them, as chmod(1) does."""
        try:
            return int(text.removeprefix("0o"), 8)
        except ValueError:
            raise ValueError(f"{text!r} is not an octal file mode") from None

    def parse_member(self, text: str) -> tuple[int, int]:
        """Return value and mask of the bits in `text`: a mode has them when all are set."""
        bits = self.parse(text)
        return bits, bits


@functools.lru_cache(maxsize=4096)
def show(value: int) -> str:
    """Print `value` in octal as strace does: 0644, 04755, 000."""
    return f"0{value:o}".zfill(3)


TYPES = {"mode": Mode}
