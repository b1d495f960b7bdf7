"""The order of things: rounds, each without etracee and then with it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from etracee.bench.figures import Report, Round, spread_of, summarize
from etracee.bench.load import CommandLoad, Load, start_workers
from etracee.bench.tracer import Order, start_tracer
from etracee.bench.workloads import Workload


@dataclass
class _Notebook:
    """What the rounds have read so far."""

    rounds: list[list[Round]] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)
    memory_kib: list[float] = field(default_factory=list)


def measure_workloads(order: Order, workloads: Sequence[Workload], rounds: int) -> Report:
    """Return what `order` costs the built-in workloads.

    They run on one processor and etracee on another, where there are two.
    """
    with choose_processors() as (workload_cpu, tracer_cpu):
        _rehearse(order)
        with start_workers(workloads, workload_cpu) as loads:
            notes = _take_rounds(order, loads, rounds)
        return _report(order, loads, notes, (workload_cpu, tracer_cpu))


def measure_command(order: Order, command: CommandLoad, rounds: int) -> Report:
    """Return what `order` costs a command, which runs wherever the host lets it."""
    _rehearse(order)
    notes = _take_rounds(order, [command], rounds)
    return _report(order, [command], notes, (None, None))


def _rehearse(order: Order) -> None:
    """Start etracee once, unmeasured: what does not work is said before anything takes long."""
    with start_tracer(order):
        pass


def _take_rounds(order: Order, loads: Sequence[Load], rounds: int) -> _Notebook:
    notes = _Notebook()
    for _ in range(rounds):
        notes.rounds.append(_take_round(order, loads, notes))
    return notes


def _take_round(order: Order, loads: Sequence[Load], notes: _Notebook) -> list[Round]:
    plain = []
    for load in loads:
        load.warm_up()
        plain.append(load.run())
    traced = []
    with start_tracer(order) as tracer:
        for load in loads:
            load.warm_up()
            observation = tracer.observe()
            reading = load.run()
            traced.append((reading, observation.finish()))
        notes.start_ms.append(tracer.start_ms)
        notes.memory_kib.append(tracer.memory_kib)
    return [Round(one, *other) for one, other in zip(plain, traced, strict=True)]


def _report(
    order: Order, loads: Sequence[Load], notes: _Notebook, cpus: tuple[int | None, int | None]
) -> Report:
    columns = zip(loads, zip(*notes.rounds, strict=True), strict=True)
    return Report(
        profile=order.profile,
        rules=order.rules,
        alerts_only=order.alerts_only,
        watched=order.watched,
        kernel=platform.release(),
        rounds=len(notes.rounds),
        workload_cpu=cpus[0],
        tracer_cpu=cpus[1],
        tracer_start_to_attached_ms=spread_of(notes.start_ms),
        tracer_memory_pss_kib=spread_of(notes.memory_kib),
        workloads=tuple(
            summarize(load.name, load.does, load.makes, order.watched, rounds)
            for load, rounds in columns
        ),
    )


@contextlib.contextmanager
def choose_processors() -> Iterator[tuple[int | None, int | None]]:
    """Yield the workload's processor and the tracer's, which is also that of this process."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        yield None, None
        return
    workload, tracer = sorted(allowed)[:2]
    os.sched_setaffinity(0, {tracer})  # inherited by etracee; a worker sets its own
    try:
        yield workload, tracer
    finally:
        os.sched_setaffinity(0, allowed)
