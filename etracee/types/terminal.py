"""Terminals: the names of their devices, as ps prints them."""

from __future__ import annotations

import re

from etracee.fragments import Py, py
from etracee.types.text import FixedText


class Terminal(FixedText):
    """The name of a terminal below /dev, such as tty1 or pts/0; missing where there is none.

    The kernel's name has no slash (tty_line_name(), drivers/tty/tty_io.c).
    """

    in_c = False
    may_miss = True

    def decode(self, raw: Py) -> Py:
        """Write the name as a path below /dev."""
        return py("terminal.name_of({raw})", raw=raw)


_PSEUDO = re.compile(rb"pts([0-9]+)")


def name_of(raw: bytes) -> bytes | None:
    """Return the name of the device, None for an array of NULs."""
    name = raw.partition(b"\0")[0]
    pseudo = _PSEUDO.fullmatch(name)
    return b"pts/" + pseudo[1] if pseudo else name or None


TYPES = {"terminal": Terminal}
