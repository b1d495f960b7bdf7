"""What every sink does."""

from __future__ import annotations

import os
from collections.abc import Sequence

from etracee.event import Item


class SinkClosedError(Exception):
    """Nobody reads what the sink writes any more."""


class Sink:
    """Takes items in the order of their time, in batches."""

    def write(self, items: Sequence[Item]) -> None:
        """Deliver `items` at once: SinkClosedError when nobody reads, OSError when it can't."""
        raise NotImplementedError


class DescriptorSink(Sink):
    """Writes text to an open descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines of `items`."""
        raise NotImplementedError

    def write(self, items: Sequence[Item]) -> None:
        """Write all lines, however many calls it takes."""
        data = memoryview(self.encode(items))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            raise SinkClosedError from None
