"""The kernel's ring buffer, mapped: records are read where they lie, and then given back.

Layout and protocol: Documentation/bpf/ringbuf.rst. Page 0 holds the consumer's position, page 1
the producer's, the data follow and are mapped twice, so that no record is broken at the end.
Positions and headers are read and written as whole aligned words, which is order enough on x86-64;
arm64 asks for acquire and release, which Python cannot express: there, this is not proven.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from etracee.records import Window, find_headers, step_over


class Ring:
    """A mapped ring of `size` bytes, a power of two; `fullest` are the most that lay in it."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self.size, self.fullest = size, 0
        self._mask = size - 1
        self._consumer_map = mmap.mmap(fd, page, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self._data = mmap.mmap(fd, page + 2 * size, prot=mmap.PROT_READ, offset=page)
        # Positions are written as one aligned 8-byte store; struct.pack_into would write zeros
        # first, and the kernel would take them for a position.
        self._consumer = memoryview(self._consumer_map).cast("Q")
        self._producer = memoryview(self._data)[:8].cast("Q")

    @property
    def produced(self) -> int:
        """Return the bytes that have ever been put into the ring."""
        return self._producer[0]

    @property
    def consumed(self) -> int:
        """Return the bytes that have ever been taken from the ring."""
        return self._consumer[0]

    def look(self, most: int) -> Window:
        """Return where records lie that were not taken yet, those that begin in `most` bytes.

        It is half the ring at most: behind that there is as much that may be read.
        """
        at = self._consumer[0]
        there = self._producer[0] - at
        self.fullest = max(self.fullest, there)
        begin = mmap.PAGESIZE + (at & self._mask)
        return Window(self._data, begin, begin + min(there, most, self.size // 2))

    def release(self, size: int) -> None:
        """Give so many bytes back to the kernel."""
        self._consumer[0] += size

    def take_all(self) -> Iterator[bytes]:
        """Take and yield the records that are finished, each with its header."""
        while True:
            window = self.look(self.size)
            found, end = find_headers(window)
            for at in found:
                yield window.data[at : at + step_over(window.words[at >> 2])]
            if end == window.at:
                return
            self.release(end - window.at)
