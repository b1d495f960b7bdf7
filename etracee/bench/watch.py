"""Count what a profile would deliver: its program runs on the live host, and sends a sample."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from etracee.bench.program import load_program
from etracee.bench.worker import measure_loop
from etracee.bench.workloads import Workload, choose_call
from etracee.gate import HostGate
from etracee.kernel.bpf import Map
from etracee.kernel.calls import CallCounter
from etracee.kernel.programs import enable_statistics, read_program
from etracee.plan import Plan
from etracee.runtime.loaded import Loaded
from etracee.runtime.ring import Ring
from etracee.runtime.slots import Slots

TICK = 0.1
"""Seconds between looks at the counters; a ring of 8 MiB fills in two of them at full speed."""
_RUNS, _CALLS = 40, 2000
"""Runs of the loop that is timed, and calls of each: the fastest was disturbed least."""


@dataclass(frozen=True)
class Weighed:
    """What happened to one event: records the kernel met, refused, would have sent, and counted.

    `bytes` are those that the records would take in the ring.
    """

    seen: int = 0
    filtered: int = 0
    sent: int = 0
    lost: int = 0
    bytes: int = 0

    def __add__(self, other: Weighed) -> Weighed:
        return Weighed(*(a + b for a, b in zip(self.row, other.row, strict=True)))

    def __sub__(self, other: Weighed) -> Weighed:
        return Weighed(*(a - b for a, b in zip(self.row, other.row, strict=True)))

    @property
    def row(self) -> tuple[int, ...]:
        """Return the counters in the order of `struct counts` (templates/bpf/body.c.j2)."""
        return self.seen, self.filtered, self.sent, self.lost, self.bytes


@dataclass(frozen=True)
class Tick:
    """What happened within `seconds`, by event in the plan's order."""

    seconds: float
    events: tuple[Weighed, ...]


@dataclass(frozen=True)
class HookRuns:
    """How often what is attached to a hook ran, and the time that took, ns."""

    stub: str
    runs: int
    ns: int


@dataclass(frozen=True)
class Watched:
    """What was seen of the host. None is what this kernel does not tell.

    `calls` are all that processes made, watched or not; `call_ns` is what each of them pays because
    hooks are attached. `sample` are records as they lie in the ring, each with its header.
    """

    ticks: tuple[Tick, ...]
    hooks: tuple[HookRuns, ...] | None
    calls: int | None
    call_ns: float
    sample: tuple[bytes, ...]

    @property
    def seconds(self) -> float:
        """Return how long the host was watched."""
        return sum(tick.seconds for tick in self.ticks)


def watch_host(plan: Plan, seconds: float) -> Watched:
    """Run the weighing program of `plan` for some seconds; ProblemsError where it does not load."""
    with contextlib.ExitStack() as stack:
        call = choose_call([event.name for event in plan.events])
        without = _time_call(call)
        loaded = load_program(plan)
        program = _Program(loaded, len(plan.events))
        is_timed = _enable_statistics(stack)
        call_ns = program.measure_call(call) - without
        counter = _count_calls(stack)
        program.open()
        stack.callback(program.close)
        before, calls = program.read_runs(), counter.read() if counter else 0
        ticks = tuple(program.watch(seconds))
        after, calls = program.read_runs(), (counter.read() if counter else 0) - calls
        runs = [
            HookRuns(o.stub, n.runs - o.runs, n.ns - o.ns)
            for o, n in zip(before, after, strict=True)
        ]
        return Watched(
            ticks=ticks,
            hooks=tuple(runs) if is_timed else None,
            calls=calls if counter else None,
            call_ns=max(0.0, call_ns),
            sample=tuple(program.take_sample()),
        )


class _Program:
    """The weighing program, loaded; nothing is let in before open()."""

    def __init__(self, loaded: Loaded, events: int) -> None:
        self._loaded, self._events = loaded, events
        self._counts = Map.of(loaded.maps["counts"], per_cpu=True)
        ring = Map.of(loaded.maps["events"])
        self._ring = Ring(ring.fd, ring.max_entries)
        self._gate = HostGate(loaded.maps)
        Slots().fill(loaded)

    def open(self) -> None:
        """Let events in."""
        self._gate.open()

    def close(self) -> None:
        """Let nothing in, and detach."""
        self._gate.close()
        for link in self._loaded.links.values():
            os.close(link)

    def read(self) -> tuple[Weighed, ...]:
        """Return the counters by event, added up over the processors."""
        totals = []
        for index in range(self._events):
            raw = self._counts.lookup(struct.pack("<I", index)) or b""
            totals.append(sum((Weighed(*row) for row in struct.iter_unpack("<5Q", raw)), Weighed()))
        return tuple(totals)

    def read_runs(self) -> list[HookRuns]:
        """Return what the kernel has timed so far; nothing while its statistics are off."""
        found = ((name, read_program(fd)) for name, fd in self._loaded.stubs.items())
        return [HookRuns(name, info.runs, info.run_ns) for name, info in found]

    def measure_call(self, workload: Workload) -> float:
        """Return the ns of a call, without what the kernel times as a program's.

        Nothing is let in yet, so that it is no event where all calls are watched.
        """
        before = sum(runs.ns for runs in self.read_runs())
        ns = _time_call(workload)
        timed = sum(runs.ns for runs in self.read_runs()) - before
        return ns - timed / (_RUNS * _CALLS)

    def watch(self, seconds: float) -> Iterator[Tick]:
        """Yield what happens tick by tick, until `seconds` are over."""
        start = time.monotonic()
        then, counts = start, self.read()
        while then < start + seconds:
            time.sleep(max(0.0, min(TICK, start + seconds - then)))
            now, found = time.monotonic(), self.read()
            yield Tick(now - then, tuple(new - old for new, old in zip(found, counts, strict=True)))
            then, counts = now, found

    def take_sample(self) -> Iterator[bytes]:
        """Yield the records that were sent, each with the 8 bytes before it."""
        return self._ring.take_all()


def _time_call(workload: Workload) -> float:
    """Return the ns that one call of a workload takes at least."""
    with workload.prepare() as loop:
        return min(measure_loop(loop, _CALLS)[0] for _ in range(_RUNS)) / _CALLS


def _enable_statistics(stack: contextlib.ExitStack) -> bool:
    try:
        stack.callback(os.close, enable_statistics())
    except OSError:
        return False
    return True


def _count_calls(stack: contextlib.ExitStack) -> CallCounter | None:
    try:
        counter = CallCounter()
    except (OSError, ValueError):
        return None
    stack.callback(counter.close)
    return counter


def split_sample(sample: Sequence[bytes], events: int) -> Mapping[int, list[bytes]]:
    """Return the records by the index of their event, which stands behind header and time."""
    found: dict[int, list[bytes]] = {index: [] for index in range(events)}
    for record in sample:
        found[struct.unpack_from("<I", record, 16)[0] & 0xFFFF].append(record)
    return found
