"""Two reports side by side: of two profiles, or of an earlier version and this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from etracee.bench.figures import Report, Spread, WorkloadFigures
from etracee.bench.report import align, count_instructions
from etracee.problems import wrong


@dataclass(frozen=True)
class _Figure:
    """A figure of a workload; None where the report has none."""

    name: str
    read: Callable[[WorkloadFigures], Spread | float | None]
    scale: float = 1.0


def _lost_share(figures: WorkloadFigures) -> float | None:
    return figures.events.lost / figures.events.seen if figures.events.seen else None


_FIGURES = (
    _Figure("ns added", lambda figures: figures.wall_ns_per_operation_added),
    _Figure("CPU ns added", lambda figures: figures.processor_ns_per_operation_added),
    _Figure("own ns an event", lambda figures: figures.tracer_processor_ns_per_delivered_event),
    _Figure("ring B an event", lambda figures: figures.bytes.ring_per_event),
    _Figure("JSON B an event", lambda figures: figures.bytes.written_per_event),
    _Figure("% lost", _lost_share, 100.0),
)

_TOOL_FIGURES: tuple[tuple[str, Callable[[Report], Spread | float | None]], ...] = (
    ("ms to first event", lambda report: report.tracer_launch_to_first_event_ms),
    ("ms to attached", lambda report: report.tracer_launch_to_attached_ms),
    ("KiB of memory", lambda report: report.tracer_memory_pss_kib),
    ("instructions", lambda report: count_instructions(report)[0]),
    ("verified", lambda report: count_instructions(report)[1]),
)


def read_report(path: str) -> Report:
    """Return the report that `etracee bench --format json` wrote; ProblemsError if it is none."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Report)
    except OSError as error:
        raise wrong(None, f"cannot read {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        hint = "it takes what `etracee bench --format json` of this version writes"
        raise wrong(None, f"{path} is no report: {error}", hint) from None


def render_comparison(report: Report, other: Report, heads: tuple[str, str]) -> str:
    """Return the figures of both; `heads` name `report` and `other`.

    A change is marked where the rounds of the two do not overlap.
    """
    columns = (("", "workload"), ("", "figure"), ("", heads[1]), ("", heads[0]), ("", "change"))
    rows = [*_compare_workloads(report, other), *_compare_tool(report, other)]
    kernels = {report.kernel, other.kernel}
    notes = ["* beyond the spread of the rounds"]
    if len(kernels) > 1:
        notes.append(f"The kernels differ: {', '.join(sorted(kernels))}.")
    return "\n".join([*align(columns, rows), "", *notes]) + "\n"


def _compare_workloads(report: Report, other: Report) -> Iterator[list[str]]:
    others = {figures.does: figures for figures in other.workloads}
    for figures in report.workloads:
        known = others.get(figures.does)
        for figure in _FIGURES if known else ():
            assert known is not None
            row = _row(figure.name, figure.read(figures), figure.read(known), figure.scale)
            if row:
                yield [figures.name, *row]


def _compare_tool(report: Report, other: Report) -> Iterator[list[str]]:
    for name, read in _TOOL_FIGURES:
        row = _row(name, read(report), read(other))
        if row:
            yield ["etracee", *row]


def _row(
    name: str, new: Spread | float | None, old: Spread | float | None, scale: float = 1.0
) -> list[str] | None:
    """Return figure, other, own and change; None where one of them is not known."""
    if new is None or old is None:
        return None
    now, then = _spread(new), _spread(old)
    change = (now.median - then.median) * scale
    is_beyond = (now.min > then.max or now.max < then.min) and round(change, 1) != 0
    mark = "*" if is_beyond else ""
    return [name, *(f"{each.median * scale:,.1f}" for each in (then, now)), f"{change:+,.1f}{mark}"]


def _spread(value: Spread | float) -> Spread:
    return value if isinstance(value, Spread) else Spread(value, value, value)
