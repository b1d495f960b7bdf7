"""`struct open_how` of openat2(2): include/uapi/linux/openat2.h."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import Py
from etracee.types.base import VARIABLE, Kind, Part, Type
from etracee.types.flags import Flags, Groups
from etracee.types.mode import Mode
from etracee.types.structure import member

_MOST = 128
"""Bytes that are kept of it; the kernel knows 24 of them (OPEN_HOW_SIZE_VER0)."""
_CREATES = 0o100 | 0o20000000
"""O_CREAT and __O_TMPFILE, with which alone a mode means something."""


class OpenHow(Type):
    """How a file is to be opened; the argument behind it says how long the structure is."""

    kind = Kind.OPAQUE
    capture = "bytes"
    storage = VARIABLE
    most = _MOST
    doc = "struct open_how"

    def __init__(
        self,
        bits: Mapping[str, int],
        doc: str,
        groups: Groups,
        shifted: Groups,
        resolve: Flags,
    ) -> None:
        """Take the names of open's flags, as Flags does, and those of `resolve`."""
        self.flags = Flags(bits, doc, groups, shifted, c="u64")
        self.resolve = resolve

    @property
    def parts(self) -> Mapping[str, Part]:
        """Flags and mode, as of the other calls that open files, and restrictions on the way."""
        return {
            "flags": Part(
                self.flags,
                "Flags of the call; their names depend on the call.",
                flags,
                "open_how_flags",
            ),
            "mode": Part(
                Mode("u64"), "File mode asked for, before the umask.", mode, "open_how_mode"
            ),
            "resolve": Part(
                self.resolve, "What is not done to find the file.", member, "member", (16, 8, 0)
            ),
        }

    def shower(self) -> Py:
        """Print the bytes in hexadecimal."""
        return Py("bytes.hex")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError("give flags or mode instead")


def flags(raw: bytes) -> int | None:
    """Return the flags, in the host's byte order."""
    return int.from_bytes(raw[:8], "little") if len(raw) >= 8 else None


def mode(raw: bytes) -> int | None:
    """Return the mode; None where no file is to be made."""
    asked = flags(raw)
    if asked is None or not asked & _CREATES or len(raw) < 16:
        return None
    return int.from_bytes(raw[8:16], "little")


TYPES = {"open_how": OpenHow}
