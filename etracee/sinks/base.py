"""What every sink does, and what its receiver is reached by."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from etracee.event import Item


class SinkClosedError(Exception):
    """The sink takes no more; `reason` says why, None where nobody reads it any more."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason)


class Sink:
    """Takes items in the order of their time, in batches."""

    name: str

    @property
    def takes_lines(self) -> bool:
        """Say whether events may come as lines of JSON."""
        return False

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return how many events, alerts and losses were not delivered."""
        return {}

    def write(self, items: Sequence[Item]) -> None:
        """Deliver `items` at once; SinkClosedError when that can't be done any more."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Open a file of this name anew, since the old one may have been moved away."""

    def finish(self, deadline: float) -> None:
        """Take it that no more comes; what waits has until `deadline` (monotonic seconds)."""

    def close(self) -> None:
        """Return when everything is delivered, or the deadline has passed."""


class DescriptorSink(Sink):
    """Writes text to an open descriptor."""

    name = "output"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines of `items`."""
        raise NotImplementedError

    def write(self, items: Sequence[Item]) -> None:
        """Write all lines."""
        self.write_all(self.encode(items))

    def write_all(self, encoded: bytes) -> None:
        """Write everything, however many calls it takes."""
        data = memoryview(encoded)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            raise SinkClosedError from None
        except OSError as error:
            raise SinkClosedError(f"cannot write events: {error.strerror}") from None


class UnreachableError(Exception):
    """The receiver takes nothing now; `wait` are the seconds it asks for before the next try."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(reason)


class RefusedError(Exception):
    """The receiver does not want these messages, however often they come."""


class Outlet:
    """Brings messages to one receiver. It may block: only a thread of its own calls `send`.

    `address` is the receiver's, as it is shown to people; no secrets stand in it.
    """

    address: str
    takes_lines: ClassVar[bool] = False
    """Whether events may come as lines of JSON."""
    items_per_message: ClassVar[int] = 1
    batch_messages: ClassVar[int] = 1000
    batch_bytes: ClassVar[int] = 1 << 20
    """What `send` is given at most; a single message may be larger."""

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the message that tells of `items`, of which there are `items_per_message`."""
        raise NotImplementedError

    def send(self, messages: Sequence[bytes]) -> int:
        """Deliver messages; return how many of the first ones are done, at least one.

        UnreachableError where none can be delivered now, RefusedError where none ever will be.
        """
        raise NotImplementedError

    def reopen(self) -> None:
        """Open a file of this name anew; UnreachableError where that cannot be done."""

    def close(self) -> None:
        """Give back what is open."""


@dataclass(frozen=True)
class SinkKind:
    """A word that --sink takes. The module has the same name.

    `target` shows what stands behind the colon, in brackets where it may be left out. `open` makes
    the outlet; ProblemsError for a target that is wrong or a receiver that this host lacks.
    """

    name: str
    target: str
    doc: str
    takes_events: bool
    open: Callable[[str], Outlet]

    @property
    def usage(self) -> str:
        """Return how it is written."""
        return (
            f"{self.name}[:{self.target[1:]}" if self.is_optional else f"{self.name}:{self.target}"
        )

    @property
    def is_optional(self) -> bool:
        """Say whether it goes without a target."""
        return self.target.startswith("[")


def reason_of(error: OSError) -> str:
    """Return what the system says; some errors of sockets have no number."""
    return error.strerror or str(error) or type(error).__name__
