"""The figures as a table for people, and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from etracee.bench.figures import ByteFigures, Report, Spread, WorkloadFigures

_HEADS = (
    ("", "workload"),
    ("operations", "a round"),
    ("ns without", "median"),
    ("ns added", "median"),
    ("", "least"),
    ("", "most"),
    ("", "added"),
    ("CPU ns", "added"),
    ("events", "seen"),
    ("", "delivered"),
    ("", "lost"),
    ("", "lost"),
    ("etracee ns", "an event"),
    ("etracee", "CPU"),
)

_UNDISTURBED = 0.9
"""Share of the time for which a workload must have its processor, for its times to be trusted."""


_BYTE_HEADS = (
    ("", "workload"),
    ("ring", "B/event"),
    ("", "B/s"),
    ("written", "B/event"),
    ("", "B/s"),
)


def render_json(report: Report, others: Mapping[str, Report]) -> str:
    """Return one object; the names of its keys carry the units.

    What it is compared with stands in it under the names of `others`.
    """
    said = asdict(report) | {name: asdict(other) for name, other in others.items()}
    return json.dumps(said, indent=2) + "\n"


def render_table(report: Report) -> str:
    """Return an aligned table, a line for each workload, and what was measured how."""
    times = [row for figures in report.workloads for row in _rows(figures)]
    making = [figures for figures in report.workloads if figures.events.expected != 0]
    sizes = [[figures.name, *_byte_cells(figures.bytes)] for figures in making]
    tables = [*align(_HEADS, times), "", *align(_BYTE_HEADS, sizes), ""]
    return "\n".join([_describe(report), "", *tables, *_explain(report)]) + "\n"


def align(heads: Sequence[tuple[str, ...]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; heads are by column, in two lines."""
    rows = [*zip(*heads, strict=True), *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_align(row, widths) for row in rows]


def _describe(report: Report) -> str:
    where = "nothing pinned"
    if report.workload_cpu is not None:
        where = f"workload on CPU {report.workload_cpu}, etracee on CPU {report.tracer_cpu}"
    rounds = f"{report.rounds} round{'s' * (report.rounds != 1)}"
    rules = f" with rules {', '.join(report.rules)}" if report.rules else ""
    alone = ", alerts only," if report.alerts_only else ""
    return f"profile {report.profile}{rules}{alone} on Linux {report.kernel}: {rounds}, {where}"


def _rows(figures: WorkloadFigures) -> list[list[str]]:
    """Return the line of a built-in workload, or those of a command: wall and processor time."""
    wall = (figures.wall_ns_per_operation_without, figures.wall_ns_per_operation_added)
    events = _event_cells(figures)
    operations = f"{figures.operations_per_round:,}"
    processor = (
        figures.processor_ns_per_operation_without,
        figures.processor_ns_per_operation_added,
    )
    added = _signed(processor[1].median)
    if figures.name != "command":
        return [[figures.name, operations, *_time_cells(*wall), added, *events]]
    return [
        ["wall time", operations, *_time_cells(*wall), "", *events],
        ["CPU time", "", *_time_cells(*processor), added, *[""] * len(events)],
    ]


def _time_cells(without: Spread, added: Spread) -> list[str]:
    share = added.median / without.median if without.median else 0.0
    numbers = (added.median, added.min, added.max)
    return [_number(without.median), *(_signed(number) for number in numbers), f"{share:+.1%}"]


def _event_cells(figures: WorkloadFigures) -> list[str]:
    events, each = figures.events, figures.tracer_processor_ns_per_delivered_event
    share = events.lost / events.seen if events.seen else 0.0
    return [
        f"{events.seen:,}",
        f"{events.delivered:,}",
        f"{events.lost:,}",
        f"{share:.1%}",
        _number(each.median) if each else "-",
        f"{figures.tracer_share_of_processor.median:.1%}",
    ]


def _explain(report: Report) -> list[str]:
    return [
        *(f"{figures.name}: {figures.does}" for figures in report.workloads),
        f"etracee {_tell_start(report)} and takes "
        f"{report.tracer_memory_pss_kib.median / 1024:.1f} MiB besides the ring.",
        _tell_programs(report),
        "Times are of one operation; CPU time is that of the workload's own processes. "
        "Events are those of all rounds and of the whole host.",
        *_warn_of_others(report),
    ]


def _tell_start(report: Report) -> str:
    first, attached = report.tracer_launch_to_first_event_ms, report.tracer_launch_to_attached_ms
    start = first or attached
    assert start is not None
    what = "shows its first event" if first else "is attached"
    return f"{what} after {start.median:.0f} ms ({start.min:.0f} to {start.max:.0f})"


def _tell_programs(report: Report) -> str:
    instructions, verified = count_instructions(report)
    known = f"{verified:,}" if verified is not None else "an unknown number"
    functions = f"{len(report.programs)} functions in the kernel"
    return f"{functions} have {instructions:,} instructions; the verifier followed {known}."


def count_instructions(report: Report) -> tuple[int, int | None]:
    """Return the instructions of all functions, and those that the verifier followed, if known."""
    verified = [each.verified for each in report.programs if each.verified is not None]
    total = sum(each.instructions for each in report.programs)
    return total, sum(verified) if len(verified) == len(report.programs) else None


def _byte_cells(figures: ByteFigures) -> list[str]:
    each = (figures.ring_per_event, figures.written_per_event)
    ring, written = (_number(value) if value is not None else "-" for value in each)
    return [ring, _number(figures.ring_per_second), written, _number(figures.written_per_second)]


def _warn_of_others(report: Report) -> list[str]:
    """Return a warning if others used the workload's processor, where it had one of its own."""
    shares = [
        figures.processor_ns_per_operation_without.median
        / figures.wall_ns_per_operation_without.median
        for figures in report.workloads
        if report.workload_cpu is not None and figures.wall_ns_per_operation_without.median
    ]
    if not shares or min(shares) >= _UNDISTURBED:
        return []
    return [
        f"The host was busy: a workload had its processor for {min(shares):.0%} of the time. "
        "Measure again, or believe the CPU time rather."
    ]


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if not column else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def _number(value: float) -> str:
    """Return nanoseconds with a digit behind the point where they are few."""
    return f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"+{_number(value)}" if value >= 0 else _number(value)
