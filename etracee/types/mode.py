"""File modes: permission bits, printed in octal."""

from __future__ import annotations

import functools

from etracee.fragments import Py
from etracee.problems import did_you_mean
from etracee.types.base import ConstantError, Kind, Type, integer

_TYPE_BITS = 0o170000
_TYPE_NAMES = {
    "S_IFSOCK": 0o140000,
    "S_IFLNK": 0o120000,
    "S_IFREG": 0o100000,
    "S_IFBLK": 0o060000,
    "S_IFDIR": 0o040000,
    "S_IFCHR": 0o020000,
    "S_IFIFO": 0o010000,
}
_SET_ID = {"S_ISUID": 0o4000, "S_ISGID": 0o2000, "S_ISVTX": 0o1000}
_NAMES = {number: name for name, number in _TYPE_NAMES.items()}


class Mode(Type):
    """Permission bits with set-id and sticky bits, printed as strace does: 0644, S_IFCHR|0600."""

    kind = Kind.FLAGS
    doc = "file mode"

    def __init__(self, c: str = "u16", *, is_typed: bool = False) -> None:
        """With `is_typed`, the file's type is printed by its name."""
        self.storage = integer(c)
        self.is_typed = is_typed

    def shower(self) -> Py:
        """Print at least three octal digits, the first of them a 0."""
        return Py("mode.show_typed" if self.is_typed else "mode.show")

    def parse(self, text: str) -> int:
        """Read a file type's name or octal digits, as chmod(1) does, or both joined by |."""
        return self.parse_member(text)[0]

    def parse_member(self, text: str) -> tuple[int, int]:
        """Return value and mask of the bits in `text`; all bits of a file type count."""
        members = [_parse_word(word) for word in text.split("|")]
        return functools.reduce(lambda a, b: (a[0] | b[0], a[1] | b[1]), members)


def _parse_word(word: str) -> tuple[int, int]:
    if word in _TYPE_NAMES:
        return _TYPE_NAMES[word], _TYPE_BITS
    if word in _SET_ID:
        return _SET_ID[word], _SET_ID[word]
    try:
        bits = int(word.removeprefix("0o"), 8)
    except ValueError:
        message = f"{word!r} is not an octal file mode"
        raise ConstantError(message, lambda: did_you_mean(word, _TYPE_NAMES | _SET_ID)) from None
    return bits, bits


@functools.lru_cache(maxsize=4096)
def show(value: int) -> str:
    """Print `value` in octal as strace does: 0644, 04755, 000."""
    return f"0{value:o}".zfill(3)


@functools.lru_cache(maxsize=4096)
def show_typed(value: int) -> str:
    """Print the file's type and set-id bits by their names; a value without a type as show."""
    name = _NAMES.get(value & _TYPE_BITS)
    if name is None:
        return show(value)
    found = [name, *(flag for flag, bit in _SET_ID.items() if value & bit)]
    return "|".join((*found, show(value & 0o777)))


TYPES = {"mode": Mode}
