"""Lists of buffers: `struct iovec` of readv(2), include/uapi/linux/uio.h."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from etracee.fragments import Py
from etracee.types.base import VARIABLE, Abi, Kind, Part, Type
from etracee.types.number import Number
from etracee.types.structure import member

_ENTRY = struct.Struct("<QQ")
_ENTRIES = 64
"""Entries of a list that are read. The kernel takes 1024 (UIO_MAXIOV)."""


class Buffers(Type):
    """A list of buffers, of which the first 64 are read; a longer list counts as cut."""

    kind = Kind.OPAQUE
    capture = "bytes"
    storage = VARIABLE
    unit = _ENTRY.size
    abi = Abi.WORDS
    most = _ENTRIES * _ENTRY.size + _ENTRY.size // 2
    """Half an entry more tells a longer list from one that is whole."""
    doc = "list of buffers"

    def __init__(self, whose: str, first: str, total: str) -> None:
        """`whose` says whose they are; `first` and `total` are the names of the parts."""
        self.whose, self.first, self.total = whose, first, total

    @property
    def parts(self) -> Mapping[str, Part]:
        """Where the first one is, and the length of all."""
        about_first = f"Address of the first of {self.whose}."
        about_total = f"Bytes of all of {self.whose}; null where there are more than {_ENTRIES}."
        address, length = Number("u64", base=16), Number("u64")
        return {
            self.first: Part(address, about_first, member, "member", (0, 8, 0)),
            self.total: Part(length, about_total, total, None),
        }

    def shower(self) -> Py:
        """Print the bytes in hexadecimal."""
        return Py("bytes.hex")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError(f"give {self.first} or {self.total} instead")


def total(raw: bytes) -> int | None:
    """Return the length of all buffers, as 64 bits hold it; None where the list is longer."""
    if len(raw) % _ENTRY.size:
        return None
    lengths: Iterable[int] = (length for _, length in _ENTRY.iter_unpack(raw))
    return sum(lengths) & 0xFFFFFFFFFFFFFFFF


TYPES = {"buffers": Buffers}
