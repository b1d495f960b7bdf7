"""Numbers of devices, as mknod(2) takes them."""

from __future__ import annotations

import re

from etracee.fragments import Py
from etracee.types.base import Kind, Type, integer, parse_integer

_PRINTED = re.compile(r"makedev\((\w+), (\w+)\)")


class Device(Type):
    """A device number, printed as strace does: makedev(0x1, 0x3)."""

    kind = Kind.NUMBER
    doc = "device number"
    storage = integer("u32")

    def shower(self) -> Py:
        """Print the major and the minor number."""
        return Py("device.show")

    def parse(self, text: str) -> int:
        """Accept a number, MAJOR:MINOR, or what is printed."""
        printed = _PRINTED.fullmatch(text)
        major, colon, minor = (printed[1], ":", printed[2]) if printed else text.partition(":")
        if not colon:
            return parse_integer(text)
        return make(parse_integer(major), parse_integer(minor))


def make(major: int, minor: int) -> int:
    """Return the number; as new_encode_dev() of include/linux/kdev_t.h."""
    if not 0 <= major < 1 << 12 or not 0 <= minor < 1 << 20:
        raise ValueError(f"{major}:{minor} is out of range: 12 bits and 20 bits")
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def show(value: int) -> str:
    """Print a number; as new_decode_dev() of include/linux/kdev_t.h."""
    major, minor = value >> 8 & 0xFFF, value & 0xFF | value >> 12 & 0xFFF00
    shown = (f"{part:#x}" if part else "0" for part in (major, minor))
    return f"makedev({', '.join(shown)})"


TYPES = {"device": Device}
