"""The figures: what one round reads, and what many rounds say. Times are nanoseconds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etracee.summary import Counts

FEWEST_EVENTS = 100
"""Below this many delivered events in a round, etracee's processor time says nothing of one.

Nor does it where the workload made none: then all of them are the host's own.
"""


@dataclass(frozen=True)
class Spread:
    """The median of a figure over the rounds, and how far it went."""

    median: float
    min: float
    max: float


@dataclass(frozen=True)
class Reading:
    """One run of a workload: operations, and the time that all of them took."""

    operations: int
    wall_ns: int
    processor_ns: int


@dataclass(frozen=True)
class Traced:
    """What etracee did during one run of a workload.

    `delivered` are the events that were written. `not_run` counts how often the kernel left a
    program out because another one ran on that processor. `tracer_ns` is etracee's own processor
    time, until everything was written. `ring_bytes` are what the records took in the ring, headers
    included, `written_bytes` what was written of them.
    """

    counts: Mapping[str, Counts]
    delivered: int
    alerts: int
    not_run: int
    tracer_ns: int
    ring_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True)
class Round:
    """One workload, without etracee and right after that with it."""

    without: Reading
    traced: Reading
    tracer: Traced


@dataclass(frozen=True)
class EventFigures:
    """Events over all rounds. `expected` is what the workload made at least, by its own count.

    It is None where nobody knows. The others count the whole host, since etracee watches all of
    it: what else ran meanwhile is among them. `lost` includes `not_run`.
    """

    expected: int | None
    seen: int
    filtered: int
    delivered: int
    alerts: int
    lost: int
    not_run: int
    by_name: Mapping[str, Counts]


@dataclass(frozen=True)
class ByteFigures:
    """Bytes over all rounds: what records took in the ring, and what was written of them.

    Those of an event are None where there was none; those of a second are of the workload's time.
    """

    ring_per_event: float | None
    ring_per_second: float
    written_per_event: float | None
    written_per_second: float


@dataclass(frozen=True)
class ProgramFigures:
    """A function in the kernel, its name cut to 15 bytes, its instructions, and those verified.

    The verifier counts an instruction once for each path on which it follows it; None before
    Linux 5.16, which does not tell.
    """

    name: str
    instructions: int
    verified: int | None


@dataclass(frozen=True)
class WorkloadFigures:
    """What a profile costs one workload.

    `…_without` is one operation without etracee, `…_added` what etracee adds to it: the difference
    between the two halves of each round. The processor time of the workload is what its own
    processes took, the kernel's part included. `tracer_share_of_processor` is etracee's own
    processor time, until all was written, as a share of the time that the workload took.
    """

    name: str
    does: str
    operations_per_round: int
    wall_ns_per_operation_without: Spread
    wall_ns_per_operation_added: Spread
    processor_ns_per_operation_without: Spread
    processor_ns_per_operation_added: Spread
    events: EventFigures
    bytes: ByteFigures
    tracer_processor_ns_per_delivered_event: Spread | None
    tracer_share_of_processor: Spread


@dataclass(frozen=True)
class Report:
    """One bench. Processors are None where nothing was pinned.

    How long a start takes is known up to the first event where a built-in workload makes such, and
    up to where every hook is attached otherwise; the other of the two is None then. Memory is the
    proportional set, without the ring that is mapped.
    """

    profile: str
    rules: tuple[str, ...]
    alerts_only: bool
    watched: tuple[str, ...]
    version: str
    kernel: str
    rounds: int
    workload_cpu: int | None
    tracer_cpu: int | None
    tracer_launch_to_first_event_ms: Spread | None
    tracer_launch_to_attached_ms: Spread | None
    tracer_memory_pss_kib: Spread
    programs: tuple[ProgramFigures, ...]
    workloads: tuple[WorkloadFigures, ...]


def spread_of(values: Sequence[float]) -> Spread:
    """Return median, least and greatest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def summarize(
    name: str,
    does: str,
    makes: Mapping[str, int] | None,
    watched: Sequence[str],
    rounds: Sequence[Round],
) -> WorkloadFigures:
    """Return the figures of one workload; `makes` are the events of one operation, if known."""
    wall = [(per_operation(r.without)[0], per_operation(r.traced)[0]) for r in rounds]
    processor = [(per_operation(r.without)[1], per_operation(r.traced)[1]) for r in rounds]
    operations = sum(one.traced.operations for one in rounds)
    expected = None
    if makes is not None:
        expected = operations * sum(makes[event] for event in makes if event in watched)
    return WorkloadFigures(
        name=name,
        does=does,
        operations_per_round=rounds[0].traced.operations,
        wall_ns_per_operation_without=spread_of([without for without, _ in wall]),
        wall_ns_per_operation_added=spread_of([traced - without for without, traced in wall]),
        processor_ns_per_operation_without=spread_of([without for without, _ in processor]),
        processor_ns_per_operation_added=spread_of([traced - own for own, traced in processor]),
        events=_sum_events(expected, rounds),
        bytes=_sum_bytes(rounds),
        tracer_processor_ns_per_delivered_event=None if expected == 0 else _tracer_ns(rounds),
        tracer_share_of_processor=spread_of([_tracer_share(one) for one in rounds]),
    )


def per_operation(reading: Reading) -> tuple[float, float]:
    """Return wall-clock and processor nanoseconds of one operation."""
    return reading.wall_ns / reading.operations, reading.processor_ns / reading.operations


def _sum_events(expected: int | None, rounds: Sequence[Round]) -> EventFigures:
    by_name: dict[str, Counts] = {}
    for one in rounds:
        for name, counts in one.tracer.counts.items():
            by_name[name] = by_name.get(name, Counts()) + counts
    total = sum(by_name.values(), Counts())
    not_run = sum(one.tracer.not_run for one in rounds)
    return EventFigures(
        expected=expected,
        seen=total.seen,
        filtered=total.filtered,
        delivered=sum(one.tracer.delivered for one in rounds),
        alerts=sum(one.tracer.alerts for one in rounds),
        lost=total.lost + not_run,
        not_run=not_run,
        by_name=by_name,
    )


def _sum_bytes(rounds: Sequence[Round]) -> ByteFigures:
    sent = sum(counts.sent for one in rounds for counts in one.tracer.counts.values())
    delivered = sum(one.tracer.delivered for one in rounds)
    ring = sum(one.tracer.ring_bytes for one in rounds)
    written = sum(one.tracer.written_bytes for one in rounds)
    seconds = sum(one.traced.wall_ns for one in rounds) / 1e9 or 1.0
    return ByteFigures(
        ring_per_event=ring / sent if sent else None,
        ring_per_second=ring / seconds,
        written_per_event=written / delivered if delivered else None,
        written_per_second=written / seconds,
    )


def _tracer_ns(rounds: Sequence[Round]) -> Spread | None:
    """Return etracee's processor time for one delivered event; None if a round had too few."""
    if min(one.tracer.delivered for one in rounds) < FEWEST_EVENTS:
        return None
    return spread_of([one.tracer.tracer_ns / one.tracer.delivered for one in rounds])


def _tracer_share(one: Round) -> float:
    return one.tracer.tracer_ns / one.traced.wall_ns if one.traced.wall_ns else 0.0
