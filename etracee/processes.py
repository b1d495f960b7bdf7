"""Processes as /proc shows them: who started whom, and which one a number means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""ns of the unit in which /proc counts a process's start."""


def ancestors(pid: int) -> Iterator[int]:
    """Yield `pid`, its parent, and so on, as far as they are seen from here."""
    while pid > 0:
        yield pid
        found = _stat(pid)
        pid = int(found[1]) if found else 0


def started_at(pid: int, start: int) -> bool:
    """Say whether the process `pid` is there, and is the one that started `start` ns after boot.

    /proc has the time in ticks: proc_pid_stat(5), field 22.
    """
    found = _stat(pid)
    return found is not None and int(found[19]) == start // _TICK


def sees_whole_host() -> bool:
    """Say whether numbers of processes mean here what they mean to the kernel.

    In a PID namespace of its own a process knows itself and others by other numbers; the first
    namespace has a fixed number: PROC_PID_INIT_INO, include/linux/proc_ns.h.
    """
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC
    except OSError:
        return True


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third on, None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
