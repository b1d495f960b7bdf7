"""Which processes are reported: all of the host but etracee's own, or a command's."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Mapping

from etracee.command import Command
from etracee.kernel.bpf import Map


class HostGate:
    """Lets in what happens on the host, etracee and its helper left out."""

    def __init__(self, maps: Mapping[str, int]) -> None:
        self._config = Map.of(maps["config"])
        self._is_open = self._helper = 0

    def open(self) -> None:
        """Let events in."""
        self._is_open = 1
        self._configure()

    def close(self) -> None:
        """Let nothing more in."""
        self._is_open = 0
        self._configure()

    def leave_out(self, pid: int) -> None:
        """Report nothing of the process `pid`, of no other than our own with 0."""
        self._helper = pid
        self._configure()

    def is_done(self) -> bool:
        """Say whether there is nothing left to report."""
        return False

    def _configure(self) -> None:
        """Set `struct config` (templates/bpf/body.c.j2)."""
        self._config.update(bytes(4), struct.pack("<III", os.getpid(), self._is_open, self._helper))


class TreeGate:
    """Lets in what a command and its descendants do; etracee is none of them."""

    def __init__(self, maps: Mapping[str, int], command: Command) -> None:
        self._tracked = Map.of(maps["tracked"])
        self._command = command
        self._key = struct.pack("<I", command.pid)

    def open(self) -> None:
        """Let the command begin, and follow it; what could not become it has done nothing."""
        self._command.release(self._follow, self._forget)

    def close(self) -> None:
        """Leave it to the hooks: detached, they follow nobody."""

    def leave_out(self, pid: int) -> None:
        """Nothing is to be done: only the command is followed."""

    def is_done(self) -> bool:
        """Say whether the command and all its descendants have ended."""
        if not self._command.poll():
            return False
        # its own key stays if it ended before it was tracked
        return all(key == self._key for key in self._tracked.iterate_keys())

    def _follow(self) -> None:
        self._tracked.update(self._key, bytes(4))

    def _forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # it was killed meanwhile
            self._tracked.delete(self._key)


Gate = HostGate | TreeGate
