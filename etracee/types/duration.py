"""How long a call took."""

from __future__ import annotations

from etracee.types.number import Number

UNKNOWN = (1 << 64) - 1
"""What stands in a record where the call's entry was not seen (templates/bpf/timing.c.j2)."""


class Duration(Number):
    """Nanoseconds from entry to exit; missing where the entry was not seen."""

    def __init__(self) -> None:
        super().__init__("u64", missing=UNKNOWN)
        self.doc = "duration in ns"


TYPES = {"duration": Duration}
