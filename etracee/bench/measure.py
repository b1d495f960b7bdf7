"""The order of things: rounds, each without etracee and then with it, once for each order."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import etracee
from etracee.bench.figures import (
    ProgramFigures,
    Reading,
    Report,
    Round,
    Spread,
    spread_of,
    summarize,
)
from etracee.bench.load import CommandLoad, Load, WorkerLoad, start_workers
from etracee.bench.tracer import Order, start_tracer
from etracee.bench.workloads import Workload

Poke = Callable[[], object]


@dataclass
class _Notebook:
    """What the rounds of one order have read so far."""

    order: Order
    rounds: list[list[Round]] = field(default_factory=list)
    attached_ms: list[float] = field(default_factory=list)
    first_event_ms: list[float] = field(default_factory=list)
    memory_kib: list[float] = field(default_factory=list)
    programs: tuple[ProgramFigures, ...] = ()


def measure_workloads(
    orders: Sequence[Order], workloads: Sequence[Workload], rounds: int
) -> list[Report]:
    """Return what each of `orders` costs the built-in workloads.

    They run on one processor and etracee on another, where there are two.
    """
    with choose_processors() as cpus:
        _rehearse(orders)
        with start_workers(workloads, cpus[0]) as loads:
            pokes = [_find_poke(order, loads) for order in orders]
            notebooks = _take_rounds(orders, loads, rounds, pokes)
        return [_report(notes, loads, cpus) for notes in notebooks]


def measure_command(orders: Sequence[Order], command: CommandLoad, rounds: int) -> list[Report]:
    """Return what each of `orders` costs a command, which runs wherever the host lets it."""
    _rehearse(orders)
    notebooks = _take_rounds(orders, [command], rounds, [None] * len(orders))
    return [_report(notes, [command], (None, None)) for notes in notebooks]


def _rehearse(orders: Sequence[Order]) -> None:
    """Start etracee once, unmeasured: what does not work is said before anything takes long."""
    for order in orders:
        with start_tracer(order):
            pass


def _find_poke(order: Order, loads: Sequence[WorkerLoad]) -> Poke | None:
    """Return what makes an event that is watched, if a workload does."""
    making = (load for load in loads if set(load.makes or ()) & set(order.watched))
    load = next(making, None)
    return load.run_once if load else None


def _take_rounds(
    orders: Sequence[Order], loads: Sequence[Load], rounds: int, pokes: Sequence[Poke | None]
) -> list[_Notebook]:
    """Take the rounds; in every second one, the orders take turns the other way round."""
    notebooks = [_Notebook(order) for order in orders]
    turns = list(zip(notebooks, pokes, strict=True))
    for number in range(rounds):
        plain = []
        for load in loads:
            load.warm_up()
            plain.append(load.run())
        for notes, poke in turns if number % 2 == 0 else turns[::-1]:
            _take_turn(notes, loads, plain, poke)
    return notebooks


def _take_turn(
    notes: _Notebook, loads: Sequence[Load], plain: Sequence[Reading], poke: Poke | None
) -> None:
    traced = []
    with start_tracer(notes.order, poke) as tracer:
        for load in loads:
            load.warm_up()
            observation = tracer.observe()
            reading = load.run()
            traced.append((reading, observation.finish()))
        notes.attached_ms.append(tracer.start_ms)
        notes.first_event_ms += [] if tracer.first_event_ms is None else [tracer.first_event_ms]
        notes.memory_kib.append(tracer.memory_kib)
        notes.programs = tracer.read_programs()
    notes.rounds.append([Round(one, *other) for one, other in zip(plain, traced, strict=True)])


def _report(notes: _Notebook, loads: Sequence[Load], cpus: tuple[int | None, int | None]) -> Report:
    columns = zip(loads, zip(*notes.rounds, strict=True), strict=True)
    order, first = notes.order, _spread_of_all(notes.first_event_ms, len(notes.rounds))
    return Report(
        profile=order.profile,
        rules=order.rules,
        alerts_only=order.alerts_only,
        watched=order.watched,
        version=etracee.__version__,
        kernel=platform.release(),
        rounds=len(notes.rounds),
        workload_cpu=cpus[0],
        tracer_cpu=cpus[1],
        tracer_launch_to_first_event_ms=first,
        tracer_launch_to_attached_ms=None if first else spread_of(notes.attached_ms),
        tracer_memory_pss_kib=spread_of(notes.memory_kib),
        programs=notes.programs,
        workloads=tuple(
            summarize(load.name, load.does, load.makes, order.watched, rounds)
            for load, rounds in columns
        ),
    )


def _spread_of_all(values: Sequence[float], rounds: int) -> Spread | None:
    """Return the spread of a figure that every round has, or None."""
    return spread_of(values) if len(values) == rounds else None


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
