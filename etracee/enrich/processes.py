"""The processes of the host and who started them: read from /proc once, then kept by events.

Events come in the order of their time. A process is told by its id and its start in ticks since
boot, in which both the kernel's times and /proc's can be expressed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from etracee.processes import TICK, Process, read_processes, sees_whole_host

Key = tuple[int, int]
"""A process: its id, and its start in ticks since boot."""

NEAREST, FURTHEST = 32, 32
"""Ancestors that are kept of a process: the nearest, and those nearest to init.

A program may start others in a chain as long as it likes; where it came from stays.
"""
MEMORY = 60 * 1_000_000_000
"""ns for which a process that has ended is remembered."""
MOST_ENDED = 32_768
"""Processes that have ended and are remembered."""


class _Image:
    """What a process runs: its descendants refer to it, and it changes with an exec."""

    __slots__ = ("comm",)

    def __init__(self, comm: bytes) -> None:
        self.comm = comm


Lineage = tuple[_Image, ...]


class _Process:
    """A process: what it runs, and what its ancestors do, the nearest first, None if not known."""

    __slots__ = ("image", "lineage")

    def __init__(self, comm: bytes, lineage: Lineage | None) -> None:
        self.image, self.lineage = _Image(comm), lineage

    def lineage_of_child(self) -> Lineage:
        """Return the lineage of a process that this one starts."""
        whole = (self.image, *(self.lineage or ()))
        if len(whole) <= NEAREST + FURTHEST:
            return whole
        return (*whole[:NEAREST], *whole[-FURTHEST:])


class Processes:
    """Who started whom. An ancestor is who made the call, also where the parent is another.

    It stays an ancestor when it has ended. Of processes that were there before etracee it is the
    parent at that time. `evicted` counts those that were forgotten before their time, since too
    many had ended.
    """

    def __init__(self) -> None:
        self.evicted = 0
        self._known: dict[Key, _Process] = {}
        self._running: dict[int, Key] = {}
        self._ended: deque[tuple[int, Key]] = deque()

    def scan(self) -> None:
        """Add the processes that /proc shows; what is known already stays as it is.

        In a PID namespace of its own, /proc numbers them otherwise than events do.
        """
        if sees_whole_host():
            self.add(read_processes())

    def add(self, found: Iterable[Process]) -> None:
        """Add processes that are running, parents before those that they have started."""
        waiting = {process.pid: process for process in found}
        while waiting:
            _, process = waiting.popitem()
            chain = [process]
            while process.parent in waiting:
                process = waiting.pop(process.parent)
                chain.append(process)
            for process in reversed(chain):
                self._add((process.pid, process.start), process.comm, self._lineage_below(process))

    def forked(
        self,
        time: int,
        pid: int,
        start: int,
        tid: int,
        comm: bytes,
        parent: int,
        parent_start: int,
        child: int,
        child_start: int,
    ) -> None:
        """Note that a process has made another. Times are in ns, starts in ns since boot.

        The new one has the name of the thread `tid` that made the call; `parent` is the parent of
        that.
        """
        self._expire(time)
        maker = self._learn(pid, start, comm, parent, parent_start)
        if tid == pid:  # other threads have names of their own
            maker.image.comm = comm
        # /proc may have shown it below init already, since its maker had ended.
        lineage = maker.lineage_of_child()
        self._add((child, child_start // TICK), comm, lineage).lineage = lineage

    def executed(
        self, time: int, pid: int, start: int, comm: bytes, parent: int, parent_start: int
    ) -> None:
        """Note that a process has a new image, and the name of that."""
        self._expire(time)
        self._learn(pid, start, comm, parent, parent_start).image.comm = comm

    def exited(self, time: int, pid: int, start: int) -> None:
        """Note that a process has ended."""
        key = pid, start // TICK
        if self._running.get(pid) == key:
            del self._running[pid]
            self._ended.append((time, key))
        self._expire(time)
        if len(self._ended) > MOST_ENDED:
            self.evicted += 1
            self._forget()

    def ancestors(self, pid: int, start: int, parent: int, parent_start: int) -> list[bytes] | None:
        """Return the names of a process's ancestors, the nearest first; None if none is known.

        `parent` is who is its parent now, for a process of whose start nothing is known.
        """
        process = self._known.get((pid, start // TICK))
        lineage = process.lineage if process is not None else None
        if lineage is None:
            lineage = self._lineage_of_child((parent, parent_start // TICK))
        return None if lineage is None else [image.comm for image in lineage]

    def _learn(self, pid: int, start: int, comm: bytes, parent: int, parent_start: int) -> _Process:
        """Return a process that there is, also if nothing told of its start."""
        process = self._add((pid, start // TICK), comm, None)
        if process.lineage is None:
            process.lineage = self._lineage_of_child((parent, parent_start // TICK))
        return process

    def _add(self, key: Key, comm: bytes, lineage: Lineage | None) -> _Process:
        """Return the process, a new one if it is not known."""
        process = self._known.get(key)
        if process is None:
            process = self._known[key] = _Process(comm, lineage)
            unnoticed = self._running.get(key[0])
            if unnoticed is not None:  # its exit was lost, and its number is another's now
                del self._known[unnoticed]
            self._running[key[0]] = key
        return process

    def _lineage_of_child(self, parent: Key) -> Lineage | None:
        process = self._known.get(parent)
        return process.lineage_of_child() if process is not None else None

    def _lineage_below(self, process: Process) -> Lineage | None:
        """Return the lineage of a process in /proc; nobody has started init and kthreadd."""
        if process.parent == 0:
            return ()
        parent = self._running.get(process.parent)
        return self._lineage_of_child(parent) if parent is not None else None

    def _expire(self, time: int) -> None:
        """Forget those that have ended long ago."""
        while self._ended and self._ended[0][0] < time - MEMORY:
            self._forget()

    def _forget(self) -> None:
        _, key = self._ended.popleft()
        del self._known[key]
