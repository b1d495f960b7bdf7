"""What a call pays for hooks, measured on the kernel that runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from pathlib import Path
from statistics import median

from etracee.bench.stubs import Members, Stubs, load_stubs
from etracee.bench.workloads import Loop, find_workload
from etracee.catalog.measured import WAYS, HookCost, Way
from etracee.catalog.model import EventType
from etracee.kernel.bpf import attach_raw_tracepoint, run_program
from etracee.kernel.perf import attach_tracepoint

WATCHED, UNWATCHED = "getuid", "getppid"
"""Calls that do next to nothing."""
SECONDS, _FEWEST = 5.0, 3
"""Rounds are begun within that time, and there are so many in any case."""
_LOOKS = 8
"""Looks at flags, of which that counts that is always there or never."""
_PARTS = ("exit", "enter", "own")
_RUNS, _CALLS = 10, 5000
"""Runs of a loop, and calls of each: the fastest was disturbed least."""


def measure_hooks(
    members: Members, watched: EventType, tracefs: Path
) -> Mapping[Way, HookCost] | None:
    """Return what hooks cost, by way of attaching; None where others have hooked calls.

    Medians of rounds, in each of which every way is attached once, next to none. Calls that are
    hooked already pay for much of it anyway, so that too little would be found. OSError where the
    kernel refuses the programs.
    """
    with HookMeter.prepare(members, watched, tracefs) as meter:
        rounds: list[Mapping[Way, HookCost]] = []
        end = time.monotonic() + SECONDS
        while len(rounds) < _FEWEST or time.monotonic() < end:
            if meter.is_disturbed():
                return None
            rounds.append(meter.measure())
        return None if meter.is_disturbed() else take_medians(rounds)


def take_medians(rounds: Sequence[Mapping[Way, HookCost]]) -> Mapping[Way, HookCost]:
    """Return what hooks cost; what costs next to nothing may seem to cost less than that."""

    def middle(way: Way, name: str) -> float:
        found = median(float(getattr(each[way], name)) for each in rounds)
        return max(0.0, round(found, 1))

    return {way: HookCost(*(middle(way, name) for name in _PARTS)) for way in WAYS}


class HookMeter:
    """Times the loops under different hooks."""

    @classmethod
    @contextlib.contextmanager
    def prepare(cls, members: Members, watched: EventType, tracefs: Path) -> Iterator[HookMeter]:
        """Load what is needed, and stay on one processor; OSError as measure_hooks()."""
        assert watched.number is not None
        with contextlib.ExitStack() as stack:
            stubs = load_stubs(members, watched.number, stack)
            stack.enter_context(_on_one_processor())
            loops = {
                name: stack.enter_context(find_workload(f"{name}()").prepare())
                for name in (WATCHED, UNWATCHED)
            }
            yield cls(stubs, watched.tracepoint, tracefs, loops)

    def __init__(
        self, stubs: Stubs, tracepoint: str, tracefs: Path, loops: Mapping[str, Loop]
    ) -> None:
        self._stubs, self._tracepoint, self._tracefs = stubs, tracepoint, tracefs
        self._loops = loops
        before = self._read_work()
        with self._attached("raw_tracepoint", "exit"):
            self._mark = reduce(and_, self._read_work()) & ~reduce(or_, before)
        """What a thread has to do at its calls while any are hooked; 0 where they are before."""

    def _read_work(self) -> list[int]:
        """Return what this thread has to do at its calls; other flags there may come and go."""
        return [run_program(self._stubs.work) for _ in range(_LOOKS)]

    def is_disturbed(self) -> bool:
        """Say whether calls are hooked by others, now that they are not by us."""
        return not self._mark or bool(run_program(self._stubs.work) & self._mark)

    def measure(self) -> Mapping[Way, HookCost]:
        """Return what hooks cost in one round, with whatever disturbs it."""
        return {way: self._measure(way) for way in WAYS}

    def _measure(self, way: Way) -> HookCost:
        without, own = self._time(UNWATCHED), self._time(WATCHED)
        with self._attached(way, "exit"):
            at_exit = self._time(UNWATCHED) - without
            own = self._time(WATCHED) - own - at_exit
            with self._attached(way, "enter"):
                at_enter = self._time(UNWATCHED) - without - at_exit
        return HookCost(at_exit, at_enter, own)

    def _time(self, name: str) -> float:
        """Return the processor time of a call, ns."""
        loop, times = self._loops[name], []
        for _ in range(_RUNS):
            start = time.thread_time_ns()
            loop(_CALLS)
            times.append(time.thread_time_ns() - start)
        return min(times) / _CALLS

    @contextlib.contextmanager
    def _attached(self, way: Way, edge: str) -> Iterator[None]:
        if way == "tracepoint":
            name = f"syscalls:sys_{edge}_{self._tracepoint}"
            descriptor = attach_tracepoint(self._tracefs, name, self._stubs.of_call)
        else:
            descriptor = attach_raw_tracepoint(f"sys_{edge}", self._stubs.of_calls)
        try:
            yield
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _on_one_processor() -> Iterator[None]:
    """Stay on one: processors need not be alike, and their caches are not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
