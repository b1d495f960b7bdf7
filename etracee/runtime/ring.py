"""The kernel's ring buffer, mapped: records are found where they lie, and copied in one piece.

Layout and protocol: Documentation/bpf/ringbuf.rst. Page 0 holds the consumer's position, page 1
the producer's, the data follow and are mapped twice, so that no record is broken at the end.
Positions and headers are read and written as whole aligned words, which is order enough on x86-64;
arm64 asks for acquire and release, which Python cannot express: there, this is not proven.
"""

from __future__ import annotations

import mmap

_HEADER = 8
_BUSY, _DISCARD = 1 << 31, 1 << 30


class Ring:
    """A mapped ring of `size` bytes, a power of two.

    `fullest` are the most bytes that were found in it, and `records` how many were taken from it.
    """

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self.size, self.fullest, self.records = size, 0, 0
        self._mask = size - 1
        self._consumer_map = mmap.mmap(fd, page, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self._data_map = mmap.mmap(fd, page + 2 * size, prot=mmap.PROT_READ, offset=page)
        # Positions are written as one aligned 8-byte store; struct.pack_into would write zeros
        # first, and the kernel would take them for a position.
        self._consumer = memoryview(self._consumer_map).cast("Q")
        self._producer = memoryview(self._data_map)[:8].cast("Q")
        self._data = memoryview(self._data_map)[page:]
        self._headers = self._data.cast("I")

    @property
    def produced(self) -> int:
        """Return the bytes that have ever been put into the ring."""
        return self._producer[0]

    @property
    def consumed(self) -> int:
        """Return the bytes that have ever been taken from the ring."""
        return self._consumer[0]

    def take(self, most: int) -> tuple[bytes, list[int]]:
        """Take records of at most `most` bytes; return their bytes, and where each begins in them.

        What is taken is free for the kernel again.
        """
        at = self._consumer[0]
        begin, there = at & self._mask, self._producer[0] - at
        place, end = begin, begin + min(there, most)
        headers, shift, found = self._headers, _HEADER - begin, []
        while place < end:
            length = headers[place >> 2]
            if length < _DISCARD:
                found.append(place + shift)
            elif length & _BUSY:
                break
            place += ((length & ~_DISCARD) + _HEADER + 7) & ~7
        taken = self._data[begin:place].tobytes()
        self._consumer[0] = at + place - begin
        self.fullest = max(self.fullest, there)
        self.records += len(found)
        return taken, found
