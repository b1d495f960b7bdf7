"""Sets of capabilities as capset(2) passes them: include/uapi/linux/capability.h."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import Py
from etracee.types.base import VARIABLE, Kind, Part, Type
from etracee.types.flags import Flags

_MEMBERS = {
    "effective": (0, "Capabilities that count now."),
    "permitted": (4, "Capabilities that may be made effective."),
    "inheritable": (8, "Capabilities that programs can inherit."),
}
_HIGH = 12
"""Bytes from the low half of a set to its high one: versions 2 and 3 pass the structure twice."""


class CapabilitySets(Type):
    """Two `struct __user_cap_data_struct`, the low and the high halves of three sets."""

    kind = Kind.OPAQUE
    capture = "bytes"
    storage = VARIABLE
    counts_excess = False
    most = 2 * _HIGH
    doc = "sets of capabilities"

    def __init__(self, names: Mapping[str, int]) -> None:
        """`names` gives each capability its number, which is that of its bit."""
        bits = {name: 1 << number for name, number in names.items()}
        self.flags = Flags(bits, "capabilities(7)", c="u64")

    @property
    def parts(self) -> Mapping[str, Part]:
        """The three sets."""
        return {
            name: Part(self.flags, doc, halves, "halves", (at, at + _HIGH))
            for name, (at, doc) in _MEMBERS.items()
        }

    def shower(self) -> Py:
        """Print the bytes in hexadecimal."""
        return Py("bytes.hex")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError(f"give its parts instead: {', '.join(_MEMBERS)}")


def halves(raw: bytes, low: int, high: int) -> int | None:
    """Return the number whose 32-bit halves lie at these bytes; None where `raw` ends before."""
    if len(raw) < high + 4:
        return None
    return int.from_bytes(raw[low : low + 4] + raw[high : high + 4], "little")


TYPES = {"capability_sets": CapabilitySets}
