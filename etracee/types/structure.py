"""Structures in user memory, of which the catalog names the members."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import Py
from etracee.types.base import VARIABLE, Abi, Kind, Part, Type


class Structure(Type):
    """A structure in user memory; the call may pass less of it than `size` bytes."""

    kind = Kind.OPAQUE
    capture = "bytes"
    storage = VARIABLE
    counts_excess = False
    doc = "structure"

    def __init__(
        self, size: int, members: Mapping[str, tuple[int, Type, str]], *, abi: str = "other"
    ) -> None:
        """`size` is how many bytes are read; `members` tells offset, type and meaning of each.

        `abi` is the value of an Abi.
        """
        self.most = size
        self.members = members
        self.abi = Abi(abi)

    @property
    def parts(self) -> Mapping[str, Part]:
        """The members, in the order of the catalog."""
        return {name: _part(*told) for name, told in self.members.items()}

    def shower(self) -> Py:
        """Print the bytes in hexadecimal."""
        return Py("bytes.hex")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError(f"give its parts instead: {', '.join(self.members)}")


def _part(at: int, kind: Type, doc: str) -> Part:
    if kind.kind is Kind.TEXT:
        return Part(kind, doc, text_member, None, (at, kind.storage.size))
    return Part(kind, doc, member, "member", (at, *_shape(kind)))


def _shape(kind: Type) -> tuple[int, int]:
    """Return the bytes of a member, and whether its highest bit is a sign."""
    return kind.storage.size, int(kind.storage.c_type.startswith("s"))


def member(raw: bytes, at: int, size: int, is_signed: int) -> int | None:
    """Return the number at byte `at`, in the host's byte order; None where `raw` ends before."""
    if len(raw) < at + size:
        return None
    return int.from_bytes(raw[at : at + size], "little", signed=bool(is_signed))


def text_member(raw: bytes, at: int, size: int) -> bytes | None:
    """Return the text in the `size` bytes at `at`; None where `raw` ends before."""
    if len(raw) < at + size:
        return None
    return raw[at : at + size].partition(b"\0")[0]


TYPES = {"structure": Structure}
