"""Files that lines are appended to, and that may be moved away meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from etracee.problems import wrong
from etracee.sinks.base import Outlet, UnreachableError, reason_of


class FileOutlet(Outlet):
    """Appends lines to the file at `path`, which is made where there is none; OSError if not."""

    items_per_message = 16

    def __init__(self, path: str) -> None:
        self.address = self._path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._written = 0
        """Bytes of the next message that stand in the file already: the disk was full."""
        self._whole = 0
        """Those of them that are whole lines."""
        self._open()

    def send(self, messages: Sequence[bytes]) -> int:
        """Write whole lines; what a full disk has torn is completed by the next call."""
        try:
            descriptor = self._open() if self._descriptor is None else self._descriptor
            self._write(descriptor, memoryview(b"".join(messages)))
        except OSError as error:
            self.close()
            done = self._count_done(messages)
            if not done:
                raise _unreachable(error) from None
            return done
        self._written = self._whole = 0
        return len(messages)

    def reopen(self) -> None:
        self.close()
        try:
            self._open()
        except OSError as error:
            raise _unreachable(error) from None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, descriptor: int, data: memoryview) -> None:
        while self._written < len(data):
            self._written += os.write(descriptor, data[self._written :])

    def _count_done(self, messages: Sequence[bytes]) -> int:
        """Return how many messages are written, and note how far the next one is."""
        for done, message in enumerate(messages):
            if self._written < len(message):
                self._whole = message.rfind(b"\n", 0, self._written) + 1
                return done
            self._written -= len(message)
        return len(messages)

    def _open(self) -> int:
        """Open the file; a line that another run has left torn is ended.

        Another file than before gets the line again that is torn in the old one. A pipe without a
        reader is refused, instead of waiting for one.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = self._descriptor = os.open(self._path, flags, 0o640)
        os.set_blocking(descriptor, True)
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity:
            self._identity, self._written = identity, self._whole
        elif self._written > self._whole:
            return descriptor
        if stat.S_ISREG(status.st_mode) and self._ends_within_a_line(status):
            os.write(descriptor, b"\n")
        return descriptor

    def _ends_within_a_line(self, status: os.stat_result) -> bool:
        if not status.st_size:
            return False
        reader = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(reader, 1, status.st_size - 1) != b"\n"
        finally:
            os.close(reader)


def opener(make: Callable[[str], FileOutlet]) -> Callable[[str], FileOutlet]:
    """Return what opens a target of --sink, and says what is wrong with it."""

    def open_target(path: str) -> FileOutlet:
        try:
            return make(path)
        except OSError as error:
            raise wrong(None, f"cannot write {path}: {_why(error)}") from None

    return open_target


def _unreachable(error: OSError) -> UnreachableError:
    return UnreachableError(f"cannot be written: {_why(error)}")


def _why(error: OSError) -> str:
    return "nobody reads this pipe" if error.errno == errno.ENXIO else reason_of(error)
