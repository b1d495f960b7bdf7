"""The kernel's counts of a program: taken away epoch by epoch, so that none is lost or doubled."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from etracee.event import KEY_HEAD
from etracee.kernel.bpf import Map
from etracee.kernel.programs import wait_for_programs

_FIRST = bytes(4)
"""The key of a map's only element."""


class Tallies:
    """What templates/bpf/count.c.j2 counts.

    A key names the epoch in which it was met. Once another epoch has begun, and no program runs
    any more that has not seen that, the keys of the old one do not change.
    """

    def __init__(self, maps: Mapping[str, int]) -> None:
        self._tallies = Map.of(maps["tallies"], per_cpu=True)
        self._unfitted = Map.of(maps["unfitted"], per_cpu=True)
        self._epoch = Map.of(maps["epoch"])
        self._now = 0

    def take(self) -> dict[bytes, int]:
        """Return how often each key was met since the last time, and begin anew."""
        self._now = (self._now + 1) & 0xFFFFFFFF
        self._epoch.update(_FIRST, struct.pack("<I", self._now))
        wait_for_programs()
        taken = {
            key: sum(memoryview(values).cast("Q"))
            for key, values in self._tallies.read_all()
            if KEY_HEAD.unpack_from(key)[1] != self._now
        }
        self._tallies.delete_all(list(taken))
        return taken

    def read_unfitted(self, index: int) -> int:
        """Return how many of an event have found no room, since the beginning."""
        raw = self._unfitted.lookup(struct.pack("<I", index)) or b""
        return sum(count for (count,) in struct.iter_unpack("<Q", raw))
