"""One tool at one work, and how quickly it shows a first event; each is started anew every time."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loads import OPENING, Build, Done, Loop, Work, start
from tools import Tool

from etracee.bench.load import environment
from etracee.bench.tracer import read_memory_kib, read_processor_ns

_PATIENCE = 60.0
_LOOK, _LOOKS = 0.1, 4
"""Seconds between looks at whether a tool has nothing to do, and how many in a row say so."""
_IDLE = 0.08
"""Share of a processor below which a tool has nothing to do; some poll, and take a little."""
_POKE = 0.001
"""Seconds between events that are made while the first is waited for."""


@dataclass(frozen=True)
class Taken:
    """One tool at one work in one round. `own_ns` is its processor time, until all was read.

    `delivered` are all events of the work that it wrote, `marked` those of which each operation
    makes one. Memory is without the ring or perf buffer. `alone_ns` is what an operation took right
    before under nothing.
    """

    tool: str
    work: str
    operations: int
    ns: float
    cpu_ns: float
    seconds: float
    alone_ns: float
    alone_cpu_ns: float
    own_ns: int = 0
    delivered: int = 0
    marked: int | None = None
    memory_kib: int | None = None


class FailedError(Exception):
    """A tool ended by itself, or delivers nothing; this says what it said."""


def work_alone(work: Work, directory: Path, cpu: int, seconds: float) -> Taken:
    """Do the work under no tool."""
    with contextlib.closing(start(work, directory, cpu)) as load:
        done = load.work(seconds)
    times = (done.ns, done.cpu_ns, done.seconds, done.ns, done.cpu_ns)
    return Taken("nothing", work.name, done.operations, *times)


def work_under(
    tool: Tool,
    work: Work,
    directory: Path,
    cpu: int,
    seconds: float,
    settling: float,
    alone: Taken,
) -> Taken:
    """Do the work under a tool, which has `settling` seconds at least to begin.

    `alone` is what it is compared with. FailedError when it does not run.
    """
    output = directory / "output"
    output.unlink(missing_ok=True)
    output.touch()
    if tool.wraps:
        done, own_ns, memory = _under_wrapper(tool, work, directory, cpu, seconds)
    else:
        done, own_ns, memory = _under_watcher(tool, work, directory, cpu, seconds, settling)
    counts = tool.count(output.read_bytes())
    marked = counts.get(work.marker) if work.marker else None
    if marked == 0:
        raise FailedError("delivers nothing")
    return Taken(
        tool=tool.name,
        work=work.name,
        operations=done.operations,
        ns=done.ns,
        cpu_ns=done.cpu_ns,
        seconds=done.seconds,
        alone_ns=alone.ns,
        alone_cpu_ns=alone.cpu_ns,
        own_ns=own_ns,
        delivered=sum(counts.values()),
        marked=marked,
        memory_kib=memory,
    )


def _under_watcher(
    tool: Tool, work: Work, directory: Path, cpu: int, seconds: float, settling: float
) -> tuple[Done, int, int]:
    """Start the work, then the tool, then let the work begin."""
    output = directory / "output"
    with contextlib.closing(start(work, directory, cpu)) as load:
        words = tool.command(work, output)
        with _running(words, output if tool.writes_stdout else None) as process:
            time.sleep(settling)
            before = _await_idle(process)
            done = load.work(seconds)
            spent = _await_idle(process) - before
            memory = read_memory_kib(process.pid) if process.poll() is None else 0
    return done, spent, memory


def _under_wrapper(
    tool: Tool, work: Work, directory: Path, cpu: int, seconds: float
) -> tuple[Done, int, int | None]:
    """Let the tool start the work; it ends with a build, and has no memory then."""
    prefix = tool.command(work, directory / "output")
    with contextlib.closing(start(work, directory, cpu, prefix)) as load:
        before = _thread_ns(load.pid)
        done = load.work(seconds)
        spent = _await_thread(load.pid) - before
        memory = read_memory_kib(load.pid) or None
    return done, spent, memory


def _await_thread(pid: int) -> int:
    """Wait until a wrapper has nothing to do, or has ended; return its processor time, ns."""
    before, quiet = _thread_ns(pid), 0
    while quiet < _LOOKS:
        time.sleep(_LOOK)
        now = _thread_ns(pid)
        quiet = quiet + 1 if now - before < _IDLE * _LOOK * 1e9 else 0
        before = now
    return before


def _thread_ns(pid: int) -> int:
    """Return the processor time of a process's first thread, also when it has ended."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


@contextlib.contextmanager
def _running(words: Sequence[str], stdout: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a tool; it is interrupted in the end, so that it writes what it holds back."""
    with contextlib.ExitStack() as stack:
        complaints = stack.enter_context((Path("/tmp") / f"peer-{os.getpid()}").open("w+b"))
        Path(complaints.name).unlink()
        out = stack.enter_context(stdout.open("wb")) if stdout else complaints
        process = stack.enter_context(
            subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=complaints, env=environment()
            )
        )
        try:
            yield process
            if process.poll() is not None:
                complaints.seek(0)
                raise FailedError(complaints.read().decode("utf-8", "replace")[-300:])
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                raise FailedError("does not end on SIGINT") from None
        finally:
            if process.poll() is None:
                process.kill()


def _await_idle(process: subprocess.Popen[bytes]) -> int:
    """Wait until a tool has begun and has nothing to do; return its processor time, ns."""
    end, quiet = time.monotonic() + _PATIENCE, 0
    before = 0
    while quiet < _LOOKS and time.monotonic() < end and process.poll() is None:
        time.sleep(_LOOK)
        now = read_processor_ns(process.pid)  # also where it has just ended: it is our child
        has_child = bool(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        quiet = quiet + 1 if not has_child and now - before < _IDLE * _LOOK * 1e9 else 0
        before = now
    return before


def time_first_event(tool: Tool, poke: Loop | Build) -> float:
    """Return the ms from a tool's start until it shows something of an event on a terminal."""
    ours, theirs = pty.openpty()
    begun = time.perf_counter()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        process = stack.enter_context(
            subprocess.Popen(
                tool.first,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env=environment(),
            )
        )
        os.close(theirs)
        seen = b""
        found = list(tool.events.values())
        while not any(pattern.search(seen) for pattern in found):
            _poke(poke)
            if select.select([ours], [], [], _POKE)[0]:
                with contextlib.suppress(OSError):  # the terminal of a process that has ended
                    seen += os.read(ours, 1 << 16).replace(b"\r", b"")
            if process.poll() or time.perf_counter() > begun + _PATIENCE:
                process.kill()
                raise FailedError(seen.decode("utf-8", "replace")[-300:] or "shows no event")
        taken = (time.perf_counter() - begun) * 1e3
        process.kill()
    return taken


def measure_idle(tool: Tool, directory: Path, seconds: float) -> float:
    """Return the share of a processor that a tool takes while nothing happens that it watches."""
    words = tool.command(OPENING, directory / "output")
    with _running(words, None) as process:
        time.sleep(seconds / 2)
        before = _await_idle(process)
        begun = time.monotonic()
        time.sleep(seconds)
        spent = read_processor_ns(process.pid) - before
        return spent / 1e9 / (time.monotonic() - begun)


def _poke(load: Loop | Build) -> None:
    assert isinstance(load, Loop)
    load.do(1)
