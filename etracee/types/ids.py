"""Ids of users and groups, and lists of them: setresuid(2), setgroups(2)."""

from __future__ import annotations

import struct

from etracee.fragments import Py
from etracee.types.base import VARIABLE, ConstantError, Kind, Type
from etracee.types.number import Number

_NONE = 0xFFFFFFFF
_ENTRY = struct.Struct("<I")
_ENTRIES = 256
"""Ids that are read; the kernel takes 65536 (NGROUPS_MAX)."""


class AccountId(Number):
    """A user or group id."""

    def __init__(self, c: str = "u32", missing: int | None = None) -> None:
        super().__init__(c, missing=missing)

    def parse(self, text: str) -> int:
        """Accept a number; where it is a name instead, say how the number is found."""
        try:
            return super().parse(text)
        except ValueError as error:
            raise ConstantError(str(error), lambda: _HOW_TO_FIND) from None


_HOW_TO_FIND = "`id -u NAME` prints a user's, `getent group NAME` a group's"


class Id(AccountId):
    """An id of 32 bits; -1, which leaves things as they are, prints as that."""

    def shower(self) -> Py:
        """Print a number."""
        return Py("ids.show_one")

    def parse(self, text: str) -> int:
        """Accept a number, or -1."""
        return _NONE if text == "-1" else super().parse(text)


def show_one(value: int) -> int:
    """Return the id, or -1."""
    return -1 if value == _NONE else value


class Ids(Type):
    """A list of 32-bit ids, of which the first 256 are read; a longer list counts as cut."""

    kind = Kind.OPAQUE
    capture = "bytes"
    storage = VARIABLE
    unit = _ENTRY.size
    most = _ENTRIES * _ENTRY.size
    doc = "list of ids"

    def shower(self) -> Py:
        """Print a list of numbers."""
        return Py("ids.show")

    def read_shown(self, shown: object) -> bytes:
        """Return the bytes of a printed list."""
        if not isinstance(shown, list) or not all(type(each) is int for each in shown):
            raise ValueError("a list of numbers was expected")
        try:
            return b"".join(map(_ENTRY.pack, shown))
        except struct.error:
            raise ValueError("an id has 32 bits") from None


def show(raw: bytes) -> list[int]:
    """Return the ids."""
    return [number for (number,) in _ENTRY.iter_unpack(raw[: len(raw) // 4 * 4])]


TYPES = {"account_id": AccountId, "id": Id, "ids": Ids}
