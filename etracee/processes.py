"""Processes as /proc shows them: who started whom, and which one a number means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""ns of the unit in which /proc counts a process's start: proc_pid_stat(5), field 22."""


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it; `start` is in ticks since boot."""

    pid: int
    start: int
    parent: int
    comm: bytes


def read_processes() -> Iterator[Process]:
    """Yield all processes that are there, in no order."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of names
        found = _stat(int(name)) if name.isdecimal() else None
        if found is not None:
            comm, fields = found
            yield Process(int(name), int(fields[19]), int(fields[1]), comm)


def ancestors(pid: int) -> Iterator[int]:
    """Yield `pid`, its parent, and so on, as far as they are seen from here."""
    while pid > 0:
        yield pid
        found = _stat(pid)
        pid = int(found[1][1]) if found else 0


def started_at(pid: int, start: int) -> bool:
    """Say whether the process `pid` is there, and is the one that started `start` ns after boot."""
    found = _stat(pid)
    return found is not None and int(found[1][19]) == start // TICK


def sees_whole_host() -> bool:
    """Say whether numbers of processes mean here what they mean to the kernel.

    In a PID namespace of its own a process knows itself and others by other numbers; the first
    namespace has a fixed number: PROC_PID_INIT_INO, include/linux/proc_ns.h.
    """
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC
    except OSError:
        return True


def _stat(pid: int) -> tuple[bytes, list[bytes]] | None:
    """Return the name in /proc/PID/stat and its fields from the third on, None if it is not there.

    The name stands in brackets, and may have brackets and spaces itself.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    name, _, fields = text.partition(b"(")[2].rpartition(b")")
    return name, fields.split()
