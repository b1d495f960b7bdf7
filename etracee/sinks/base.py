"""What every sink does."""

from __future__ import annotations

import os
from collections.abc import Sequence

from etracee.event import Item


class SinkClosedError(Exception):
    """The sink takes no more; `reason` says why, None where nobody reads it any more."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason)


class Sink:
    """Takes items in the order of their time, in batches."""

    def write(self, items: Sequence[Item]) -> None:
        """Deliver `items` at once; SinkClosedError when that can't be done any more."""
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
        except OSError as error:
            raise SinkClosedError(f"cannot write events: {error.strerror}") from None
