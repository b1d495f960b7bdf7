"""The work that is done under every tool: bounded, on one processor, of a user of its own."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etracee.bench.load import environment
from etracee.bench.workloads import WORKLOADS, Workload

UID = 64123
"""The user that works: every tool is told to watch it alone, so that the host stays out of it."""
_CHUNK = 0.005
"""Seconds of work that are timed as one; others that run between spoil some chunks, not all."""
_SOURCES = Path(__file__).parents[2] / "tests/kernel/workloads"
_COPIES = 4


@dataclass(frozen=True)
class Work:
    """What is done. `marker` is the event of which each operation makes one, None if unknown."""

    name: str
    does: str
    marker: str | None
    loop: Workload | None


def _loop(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


UNWATCHED = Work(
    "null call", "getppid(), while execve alone is watched", None, _loop("unwatched call")
)
OPENING = Work("open+close", "opens a file and closes it", "openat", _loop("open+close"))
STARTING = Work("fork+exec+exit", "starts `true`, waits for it", "execve", _loop("fork+exec+exit"))
CONNECTING = Work("connect", "connects to a closed port of 127.0.0.1", "connect", _loop("connect"))
BUILDING = Work(
    "build", f"make: gcc -O2, {_COPIES} times the C files in {_SOURCES.name}", None, None
)
WORKS = (UNWATCHED, OPENING, STARTING, CONNECTING, BUILDING)


@dataclass(frozen=True)
class Done:
    """What was done: operations, ns of each, seconds that all took.

    `ns` is wall-clock time and `cpu_ns` the processor time of the work, both medians of the chunks.
    """

    operations: int
    ns: float
    cpu_ns: float
    seconds: float


class Loop:
    """A process that does a built-in workload; `prefix` are words that start it, such as strace."""

    def __init__(self, work: Work, cpu: int, prefix: Sequence[str] = ()) -> None:
        assert work.loop is not None
        words = [*prefix, sys.executable, "-m", "etracee.bench.worker", work.loop.does, str(cpu)]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
            **_user(prefix),
        )
        self._operations = 0
        self.do(1)

    @property
    def pid(self) -> int:
        """Return the process id: of the prefix, where there is one."""
        return self._process.pid

    def do(self, operations: int) -> tuple[int, int]:
        """Return the ns of wall-clock and of processor time that so many operations take."""
        assert self._process.stdin and self._process.stdout
        print(operations, file=self._process.stdin, flush=True)
        self._operations += operations
        wall, processor = self._process.stdout.readline().split()
        return int(wall), int(processor)

    def work(self, seconds: float) -> Done:
        """Work for so long, chunk by chunk; how many operations a chunk has is found first."""
        before, size, begun = self._operations, 1, time.monotonic()
        while (taken := self.do(size)[0]) < _CHUNK * 1e9 / 2:
            size *= 2
        size = max(1, round(size * _CHUNK * 1e9 / taken))
        chunks, end = list[tuple[int, int]](), time.monotonic() + seconds
        while time.monotonic() < end:
            chunks.append(self.do(size))
        lasted = time.monotonic() - begun
        wall, processor = (statistics.median(column) / size for column in zip(*chunks, strict=True))
        return Done(self._operations - before, wall, processor, lasted)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Build:
    """A make of C files, once: one operation. The process waits until it is told to go."""

    def __init__(self, directory: Path, cpu: int, prefix: Sequence[str] = ()) -> None:
        place = directory / "build"
        if not place.is_dir():
            _lay_out(place)
        self._is_wrapped = bool(prefix)
        make = f"read go && exec taskset -c {cpu} make -s -B all"
        self._process = subprocess.Popen(
            [*prefix, "sh", "-c", make],
            stdin=subprocess.PIPE,
            text=True,
            cwd=place,
            **_user(prefix),
        )

    @property
    def pid(self) -> int:
        """Return the process id: of the prefix, where there is one."""
        return self._process.pid

    def work(self, _seconds: float) -> Done:
        """Build everything; the process has ended then, but its id is taken until close()."""
        assert self._process.stdin
        start = time.perf_counter_ns()
        print(file=self._process.stdin, flush=True)
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        taken = time.perf_counter_ns() - start
        if ended is None or ended.si_status:
            sys.exit("the build fails")
        return Done(1, float(taken), self._processor_ns(), taken / 1e9)

    def _processor_ns(self) -> float:
        """Return the processor time of the build that has ended, in ticks of 10 ms: proc(5).

        A prefix's own is left out.
        """
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        times = fields[13:15] if self._is_wrapped else fields[11:15]
        return sum(map(int, times)) * 1e9 / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Let go of the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


def _lay_out(place: Path) -> None:
    place.mkdir()
    place.parent.chmod(0o755)
    shutil.copy(_SOURCES / "workload.h", place)
    names = []
    for source in sorted(_SOURCES.glob("*.c")):
        for number in range(_COPIES):
            names.append(f"{source.stem}{number}")
            shutil.copy(source, place / f"{names[-1]}.c")
    rule = "%: %.c\n\tgcc -O2 -w -o $@ $<\n"
    (place / "Makefile").write_text(f"all: {' '.join(names)}\n{rule}")
    for path in (place, *place.iterdir()):
        os.chown(path, UID, UID)


def _user(prefix: Sequence[str]) -> dict[str, Any]:
    """Return whose process it is; a prefix that traces it has to be root's."""
    return {} if prefix else {"user": UID, "group": UID, "extra_groups": []}


def start(work: Work, directory: Path, cpu: int, prefix: Sequence[str] = ()) -> Loop | Build:
    """Return the process that does the work, ready to begin."""
    return Build(directory, cpu, prefix) if work.loop is None else Loop(work, cpu, prefix)
