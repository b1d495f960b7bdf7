"""What is measured: a worker process that does a built-in workload, or the user's command."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from etracee.bench.figures import Reading
from etracee.bench.workloads import Workload
from etracee.problems import ExitCode, Problem, ProblemsError

ROUND_SECONDS = 0.3
"""What a round of a built-in workload takes without a tracer, about."""
_ENOUGH = 0.05
"""Seconds from which on a run is long enough to tell how long others will take."""
_PACKAGES = Path(__file__).parents[2]


class Load(Protocol):
    """Work that can be done again and again."""

    name: str
    does: str
    makes: Mapping[str, int] | None

    def warm_up(self) -> None:
        """Do a little of it, unmeasured."""

    def run(self) -> Reading:
        """Do one round of it."""


class WorkerLoad:
    """A built-in workload, in a process of its own that lives as long as the bench."""

    def __init__(self, workload: Workload, process: subprocess.Popen[str]) -> None:
        self.name, self.does = workload.name, workload.does
        self.makes: Mapping[str, int] | None = workload.makes
        self._process = process
        self._operations = self._calibrate()

    def warm_up(self) -> None:
        """Do a tenth of a round."""
        self.run_part()

    def run_part(self) -> Reading:
        """Do a tenth of a round: what disturbs a busy host may leave out some of many."""
        return self._do(self._operations // 10 + 1)

    def run(self) -> Reading:
        """Do one round."""
        return self._do(self._operations)

    def run_once(self) -> Reading:
        """Do a single operation."""
        return self._do(1)

    def _calibrate(self) -> int:
        """Return the operations that take ROUND_SECONDS."""
        operations = 1
        while (reading := self._do(operations)).wall_ns < _ENOUGH * 1e9:
            operations *= 2
        return max(1, round(operations * ROUND_SECONDS * 1e9 / reading.wall_ns))

    def _do(self, operations: int) -> Reading:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        print(operations, file=stdin, flush=True)
        line = stdout.readline()
        if not line:  # it has said why on stderr
            raise ProblemsError([Problem(None, f"cannot do {self.does}")], ExitCode.INTERNAL)
        wall, processor = line.split()
        return Reading(operations, int(wall), int(processor))


class CommandLoad:
    """The user's command: one operation, from its start to its end. What it prints is dropped."""

    def __init__(self, words: Sequence[str]) -> None:
        program = shutil.which(words[0])
        if program is None:
            raise ProblemsError(
                [Problem(None, f"{words[0]}: there is no such program")], ExitCode.NOT_FOUND
            )
        self.name, self.does = "command", " ".join(words)
        self.makes: Mapping[str, int] | None = None
        self.codes: set[int] = set()
        self._program, self._words = program, list(words)

    def warm_up(self) -> None:
        """Run it once."""
        self.run()

    def run(self) -> Reading:
        """Run it once; processor time is that of all its descendants that were waited for."""
        flags = os.O_WRONLY | os.O_CLOEXEC
        actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, flags & ~os.O_CLOEXEC, 0)]
        start = time.perf_counter_ns()
        try:
            child = os.posix_spawn(self._program, self._words, os.environ, file_actions=actions)
        except OSError as error:
            problem = Problem(None, f"{self._words[0]}: {error.strerror}")
            raise ProblemsError([problem], ExitCode.CANNOT_EXECUTE) from None
        _, status, usage = os.wait4(child, 0)
        wall = time.perf_counter_ns() - start
        self.codes.add(os.waitstatus_to_exitcode(status))
        return Reading(1, wall, int((usage.ru_utime + usage.ru_stime) * 1e9))


@contextlib.contextmanager
def start_workers(workloads: Sequence[Workload], cpu: int | None) -> Iterator[list[WorkerLoad]]:
    """Yield the workloads, calibrated, each in a process that runs on `cpu` alone."""
    with contextlib.ExitStack() as stack:
        yield [
            WorkerLoad(workload, stack.enter_context(_start_worker(workload, cpu)))
            for workload in workloads
        ]


@contextlib.contextmanager
def _start_worker(workload: Workload, cpu: int | None) -> Iterator[subprocess.Popen[str]]:
    number = -1 if cpu is None else cpu
    with subprocess.Popen(
        [sys.executable, "-m", "etracee.bench.worker", workload.does, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        yield process  # the end of its stdin, which Popen closes, ends it


def environment() -> dict[str, str]:
    """Return the environment in which a child finds this very package, also in a checkout."""
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{_PACKAGES}:{known}" if known else str(_PACKAGES)}
