"""Commands of ioctl(2), which hold direction, type, number and size: asm-generic/ioctl.h."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from etracee.fragments import Py, py, py_literal
from etracee.types.base import Names
from etracee.types.named import Named

_DIRECTIONS = ("_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE")
_PRINTED = re.compile(r"_IOC\(([A-Z_|]+), (\w+), (\w+), (\w+)\)")


class Command(Named):
    """A command by its name, or as strace prints one without: _IOC(_IOC_READ, 0x54, 0x30, 0x4)."""

    def __init__(self, names: Names) -> None:
        """`names` gives each name its number; the first name of a number is the one printed."""
        super().__init__(names, "u32")

    def shower(self) -> Py:
        """Print the name, or what the number is made of."""
        names = {value: name for name, value in reversed(self.names.items())}
        return py("ioctl.show({names})", names=py_literal(names))

    def parse(self, text: str) -> int:
        """Accept a name, a number, or what is printed."""
        printed = _PRINTED.fullmatch(text)
        if printed is None or printed[1] not in _DIRECTIONS:
            return super().parse(text)
        kind, number, size = (int(part, 0) for part in printed.groups()[1:])
        return _DIRECTIONS.index(printed[1]) << 30 | size << 16 | kind << 8 | number


def show(names: Mapping[int, str]) -> Callable[[int], str]:
    """Return the function that prints a command."""

    def name_of(value: int) -> str:
        return names.get(value) or _take_apart(value)

    return name_of


def _take_apart(value: int) -> str:
    parts = (value >> 8 & 0xFF, value & 0xFF, value >> 16 & 0x3FFF)
    shown = (f"{part:#x}" if part else "0" for part in parts)
    return f"_IOC({_DIRECTIONS[value >> 30]}, {', '.join(shown)})"


TYPES = {"ioctl": Command}
