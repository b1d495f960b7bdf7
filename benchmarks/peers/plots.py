"""The figures of a run as bars, in SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tables import Range, costs_of

_OWN, _OTHER = "#c0392b", "#7f8c8d"


def write_plots(results: Mapping[str, Any], directory: Path) -> None:
    """Write performance-added.svg and performance-tool.svg."""
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    mpl.rcParams["svg.hashsalt"] = "etracee"  # the same figures make the same file
    _save(_plot_added(results), directory / "performance-added.svg")
    _save(_plot_tool(results), directory / "performance-tool.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})


def _plot_added(results: Mapping[str, Any]) -> Figure:
    works = [work for work in results["works"] if work != "build"]
    figure = Figure(figsize=(10, 2.6 * -(-len(works) // 2)), layout="constrained")
    for place, work in enumerate(works, 1):
        axes = figure.add_subplot(-(-len(works) // 2), 2, place)
        costs = [cost for cost in costs_of(results, work) if cost.tool != "nothing"]
        names = [f"{c.tool} ({c.lost_share:.1%} lost)" if c.lost_share else c.tool for c in costs]
        _bars(axes, names, [cost.added for cost in costs])
        axes.set_title(work, loc="left", fontsize=10)
        axes.set_xlabel("ns added to one operation")
    return figure


def _plot_tool(results: Mapping[str, Any]) -> Figure:
    own = {c.tool: c.own for c in costs_of(results, "open+close") if c.own}
    first = {tool: Range.of(values) for tool, values in results["first_event_ms"].items()}
    memory: dict[str, list[float]] = {}
    for row in results["taken"]:
        if row["memory_kib"]:
            memory.setdefault(row["tool"], []).append(row["memory_kib"] / 1024)
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    panels = (
        ("own processor time of one delivered open", "ns", own),
        ("launch to first event", "ms", first),
        ("memory (PSS) without the ring", "MiB", {t: Range.of(v) for t, v in memory.items()}),
    )
    for place, (title, unit, ranges) in enumerate(panels, 1):
        axes = figure.add_subplot(2, 2, place)
        _bars(axes, list(ranges), list(ranges.values()))
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel(unit)
    return figure


def _bars(axes: Axes, names: Sequence[str], ranges: Sequence[Range]) -> None:
    """Draw medians as bars on a logarithmic axis, with the least and the most.

    What is not above the floor, as a difference within the noise, is drawn at it; its number stands
    beside it.
    """
    floor = max(1.0, min(value.median for value in ranges)) / 3
    medians = [max(value.median, floor) for value in ranges]
    below = [m - min(m, max(r.least, floor)) for m, r in zip(medians, ranges, strict=True)]
    above = [max(0.0, r.most - m) for m, r in zip(medians, ranges, strict=True)]
    colors = [_OWN if name.startswith("etracee") else _OTHER for name in names]
    axes.barh(range(len(names)), medians, xerr=(below, above), color=colors, height=0.6)
    for place, value in enumerate(ranges):
        end = max(value.most, floor) * 1.15
        axes.text(end, place, f"{value.median:,.0f}", va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(floor, max(*(value.most for value in ranges), floor) * 6)
    axes.grid(axis="x", alpha=0.3)
