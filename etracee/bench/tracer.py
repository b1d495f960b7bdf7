"""`etracee run` as a child: started, known to be attached, observed, ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from etracee.bench.figures import ProgramFigures, Traced
from etracee.bench.load import environment
from etracee.bench.maps import TracerMaps, count_not_run, find_maps, read_attached
from etracee.problems import ExitCode, Problem, ProblemsError
from etracee.summary import Counts

_PATIENCE = 120.0
"""Seconds after which what should have happened won't."""
_LOOK = 0.005
"""Seconds between looks at whether etracee is attached, or has caught up."""
_POKE, _FIRST_LOOK = 0.001, 2.0
"""Seconds between events that are made while the first is waited for, and how long it may take."""
_QUIET, _QUIET_LOOKS = 0.02, 50
"""Seconds over which a monitor with nothing to do uses little time, and how often to look."""
_IDLE_SHARE = 0.1
"""Share of a processor below which the monitor is taken to have nothing to do."""


class TracerFailedError(Exception):
    """etracee ended, or hangs; `said` is its stderr and `code` its exit code."""

    def __init__(self, said: str, code: int) -> None:
        self.said, self.code = said, code
        super().__init__(f"etracee run ended with {code}")


@dataclass(frozen=True)
class Order:
    """What is traced with; `watched` are the plan's events in their order.

    `tool` are the words that start etracee.
    """

    profile: str
    rules: tuple[str, ...]
    watched: tuple[str, ...]
    alerts_only: bool = False
    tool: tuple[str, ...] = (sys.executable, "-m", "etracee")


@dataclass(frozen=True)
class Tracer:
    """An etracee that runs, with every hook attached and enabled.

    `start_ms` is the time from its launch until then, and `first_event_ms` until its first line
    could be read, where it was waited for and came.
    """

    process: subprocess.Popen[bytes]
    maps: TracerMaps
    output: IO[bytes]
    start_ms: float
    first_event_ms: float | None

    @property
    def memory_kib(self) -> int:
        """Return the memory of the process without the ring."""
        return read_memory_kib(self.process.pid)

    def read_programs(self) -> tuple[ProgramFigures, ...]:
        """Return what is in the kernel: the functions, and what is attached and calls them."""
        infos = [*self.maps.read_programs(), *read_attached(self.process.pid)]
        known = {info.number: info for info in infos}.values()
        return tuple(ProgramFigures(info.name, info.instructions, info.verified) for info in known)

    def observe(self) -> Observation:
        """Begin to observe; the figures are those from here to Observation.finish().

        What has happened before, this look at /proc included, is written first.
        """
        not_run = count_not_run(self.process.pid)
        _catch_up(self)
        self.output.seek(0, os.SEEK_END)
        now, counts = time.time_ns(), self.maps.read_counts()
        return Observation(
            self, not_run, counts, self.processor_ns(), now, produced=self.maps.produced
        )

    def processor_ns(self) -> int:
        """Return the processor time of the process so far."""
        return read_processor_ns(self.process.pid)


@dataclass(frozen=True)
class Observation:
    """The state of a tracer before a workload."""

    tracer: Tracer
    not_run: int
    counts: dict[str, Counts]
    processor_ns: int
    wall_ns: int
    produced: int

    def finish(self) -> Traced:
        """Wait until etracee has written all that has happened, and return the figures.

        What the rest of the host does meanwhile is left out: the counts are of now, and so are the
        lines, by their timestamps.
        """
        tracer = self.tracer
        now, counts = time.time_ns(), tracer.maps.read_counts()
        produced = tracer.maps.produced
        _catch_up(tracer)
        spent = tracer.processor_ns() - self.processor_ns
        written = tracer.output.read().split(b"\n")[:-1]
        lines = [line for line in written if self.wall_ns < _time_of(line, now) <= now]
        alerts = sum(line.startswith(b'{"type":"alert"') for line in lines)
        losses = sum(line.startswith(b'{"type":"lost"') for line in lines)
        return Traced(
            counts={name: counts[name] - self.counts[name] for name in counts},
            delivered=len(lines) - alerts - losses,
            alerts=alerts,
            not_run=count_not_run(tracer.process.pid) - self.not_run,
            tracer_ns=spent,
            ring_bytes=produced - self.produced,
            written_bytes=sum(map(len, lines)) + len(lines),
        )


def read_processor_ns(pid: int) -> int:
    """Return the processor time of a process so far, all threads, exact to the ns.

    The clock's number is what clock_getcpuclockid(3) makes of the process id.
    """
    return time.clock_gettime_ns(~pid << 3 | 2)


def read_memory_kib(pid: int) -> int:
    """Return the memory of a process, shared pages counted by their share (PSS).

    What it maps of BPF maps, such as the ring, is left out: the profile says how large that is.
    """
    total, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name.partition(" ")[0]:
            counts = not line.endswith("anon_inode:bpf-map")
        elif name == "Pss" and counts:
            total += int(rest.split()[0])
    return total


@contextlib.contextmanager
def start_tracer(order: Order, poke: Callable[[], object] | None = None) -> Iterator[Tracer]:
    """Run etracee on the whole host, with its events as JSON to a file.

    With `poke`, which makes an event, the first line is waited for. TracerFailedError when it ends
    by itself, or not well.
    """
    with tempfile.TemporaryDirectory(prefix="etracee-bench-") as name, contextlib.ExitStack() as on:
        directory = Path(name)
        output = on.enter_context((directory / "events.json").open("w+b"))
        said = on.enter_context((directory / "stderr").open("w+b"))
        launched = time.monotonic()
        process = on.enter_context(_launch(order, directory, said))
        try:
            first = _await_line(process, output, poke, order.watched) if poke else None
            maps = _await_attached(process, order.watched, said)
            on.callback(maps.close)
            attached = (time.monotonic() - launched) * 1e3
            yield Tracer(process, maps, output, attached, first and (first - launched) * 1e3)
            _end(process, said)
        finally:
            if process.poll() is None:
                process.kill()


def _launch(order: Order, directory: Path, said: IO[bytes]) -> subprocess.Popen[bytes]:
    words = [*order.tool, "run", "--profile", order.profile]
    words += [word for rule in order.rules for word in ("--rules", rule)]
    words += ["--alerts-only"] * order.alerts_only
    words += ["--output", str(directory / "events.json"), "--format", "json"]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=said, env=environment())


def _await_line(
    process: subprocess.Popen[bytes],
    output: IO[bytes],
    poke: Callable[[], object],
    watched: Sequence[str],
) -> float | None:
    """Return when the first line is there; None when none comes although all is attached.

    The profile may filter what `poke` makes. Whether all is attached is looked at but seldom, since
    that takes time from etracee.
    """
    look = time.monotonic() + _FIRST_LOOK
    while process.poll() is None:
        poke()
        now = time.monotonic()
        if os.fstat(output.fileno()).st_size:
            return now
        if now > look:
            look = now + _FIRST_LOOK
            maps = find_maps(process.pid, watched)
            if maps:
                is_enabled = maps.is_enabled
                maps.close()
                if is_enabled:
                    return None
        time.sleep(_POKE)
    return None


def _await_attached(
    process: subprocess.Popen[bytes], watched: Sequence[str], said: IO[bytes]
) -> TracerMaps:
    """Return the monitor's maps when it has let events in, which it does when all is attached."""
    end = time.monotonic() + _PATIENCE
    maps: TracerMaps | None = None
    while time.monotonic() < end:
        if process.poll() is not None:
            raise TracerFailedError(_text(said), process.returncode or ExitCode.INTERNAL)
        maps = maps or find_maps(process.pid, watched)
        if maps and maps.is_enabled:
            return maps
        time.sleep(_LOOK)
    raise TracerFailedError(f"{_text(said)}etracee run does not attach\n", ExitCode.INTERNAL)


_TIMESTAMP = re.compile(rb'"timestamp":"([0-9]+)"')


def _time_of(line: bytes, otherwise: int) -> int:
    """Return a line's time in ns since the epoch; `otherwise` for lines without, as of losses."""
    found = _TIMESTAMP.search(line)
    return int(found[1]) if found else otherwise


def _catch_up(tracer: Tracer) -> None:
    """Wait until what is in the ring now has been taken from it, and written.

    It is written when the monitor, which takes a batch and then writes it, has little to do.
    """
    target = tracer.maps.produced
    end = time.monotonic() + _PATIENCE
    while tracer.maps.consumed < target:
        if time.monotonic() > end or tracer.process.poll() is not None:
            problem = Problem(None, "etracee run does not take its events from the ring")
            raise ProblemsError([problem], ExitCode.INTERNAL)
        time.sleep(_LOOK)
    for _ in range(_QUIET_LOOKS):
        before = tracer.processor_ns()
        time.sleep(_QUIET)
        if tracer.processor_ns() - before < _QUIET * _IDLE_SHARE * 1e9:
            return


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        code = process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        raise TracerFailedError(
            f"{_text(said)}etracee run does not end\n", ExitCode.INTERNAL
        ) from None
    if code != 0:
        raise TracerFailedError(_text(said), code)


def _text(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", "replace")
