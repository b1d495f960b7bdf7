"""The figures as a table for people, and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from etracee.bench.figures import Report, Spread, WorkloadFigures

_HEADS = (
    ("", "workload"),
    ("operations", "a round"),
    ("ns without", "median"),
    ("ns added", "median"),
    ("", "least"),
    ("", "most"),
    ("", "added"),
    ("events", "seen"),
    ("", "delivered"),
    ("", "lost"),
    ("", "lost"),
    ("etracee ns", "an event"),
    ("etracee", "CPU"),
)

_UNDISTURBED = 0.9
"""Share of the time for which a workload must have its processor, for its times to be trusted."""


def render_json(report: Report) -> str:
    """Return one object; the names of its keys carry the units."""
    return json.dumps(asdict(report), indent=2) + "\n"


def render_table(report: Report) -> str:
    """Return an aligned table, a line for each workload, and what was measured how."""
    rows = [list(column) for column in zip(*_HEADS, strict=True)]
    for figures in report.workloads:
        rows += _rows(figures)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [_align(row, widths) for row in rows]
    return "\n".join([_describe(report), "", *lines, "", *_explain(report)]) + "\n"


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
    if figures.name != "command":
        return [[figures.name, operations, *_time_cells(*wall), *events]]
    processor = (
        figures.processor_ns_per_operation_without,
        figures.processor_ns_per_operation_added,
    )
    return [
        ["wall time", operations, *_time_cells(*wall), *events],
        ["CPU time", "", *_time_cells(*processor), *[""] * len(events)],
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
    start, memory = report.tracer_start_to_attached_ms, report.tracer_memory_pss_kib
    return [
        *(f"{figures.name}: {figures.does}" for figures in report.workloads),
        f"etracee attached after {start.median:.0f} ms ({start.min:.0f} to {start.max:.0f}) "
        f"and takes {memory.median / 1024:.1f} MiB.",
        "Times are of one operation; events are those of all rounds and of the whole host.",
        *_warn_of_others(report),
    ]


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
        "Measure again, or see processor_ns in --format json."
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
