"""Records as they lie in the kernel's ring, one behind the other: Documentation/bpf/ringbuf.rst.

Before each stands its header, of which the first four bytes are the record's length and two bits:
it is not finished yet, or to be skipped. Headers lie on multiples of 8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from mmap import mmap
from typing import NamedTuple

HEADER = 8
BUSY, DISCARDED = 1 << 31, 1 << 30
"""Bits of a header. Its number is below DISCARDED where there is a record to be read."""
_ROOM = bytes(1 << 12)
"""What may be read behind records: no fixed part is larger."""


class Window(NamedTuple):
    """Records in `data`, of which the first header lies at `at`, and the last before `end`.

    Behind that there is room enough to unpack the fixed part of whatever record, in vain.
    """

    data: mmap | bytes
    at: int
    end: int

    @property
    def words(self) -> memoryview:
        """Return the data as numbers of four bytes, such as the headers are."""
        return memoryview(self.data).cast("I")


def step_over(header: int) -> int:
    """Return how far behind a header the next one lies."""
    return (header & ~(BUSY | DISCARDED)) + HEADER + 7 & ~7


def find_headers(window: Window) -> tuple[list[int], int]:
    """Return where headers of finished records lie, and the end of those.

    The header is to be read before what it tells of, since the kernel writes it last.
    """
    _, at, end = window
    words, found = window.words, []
    while at < end:
        header = words[at >> 2]
        if header < DISCARDED:
            found.append(at)
        elif header & BUSY:
            break
        at += step_over(header)
    return found, at


def sort_by_time(window: Window) -> tuple[Window, int]:
    """Return the finished records in the order of the times that they begin with, and their end.

    They are copied where they do not lie in that order.
    """
    found, end = find_headers(window)
    words, times = window.words, memoryview(window.data).cast("Q")
    stamps = [times[(at >> 3) + 1] for at in found]
    if stamps == sorted(stamps):
        return window._replace(end=end), end
    return _copy(window.data, words, [at for _, at in sorted(zip(stamps, found, strict=True))]), end


def _copy(data: mmap | bytes, words: memoryview, found: Sequence[int]) -> Window:
    records = b"".join(data[at : at + step_over(words[at >> 2])] for at in found)
    return Window(records + _ROOM, 0, len(records))
