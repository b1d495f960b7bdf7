"""The figures of a run as tables of Markdown, put into a document between two marks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOISE = 0.01
"""Share of an operation's time below which what etracee adds to it is no measure for others."""
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

Results = Mapping[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Range:
    """The median of a figure over the rounds, its least and its greatest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Cost:
    """What one tool did at one work, over all rounds. ns are of one operation or event."""

    tool: str
    ns: Range
    added: Range
    cpu_added: Range | None
    produced: int | None
    delivered: int
    lost_share: float | None
    own: Range | None
    per_second: float | None


def costs_of(results: Results, work: str) -> list[Cost]:
    """Return the costs of all tools at a work, the bare work first."""
    taken: dict[str, Rows] = {}
    for row in results["taken"]:
        if row["work"] == work:
            taken.setdefault(row["tool"], []).append(row)
    return [_cost(tool, rows) for tool, rows in taken.items()]


def _cost(tool: str, rows: Rows) -> Cost:
    added = [row["ns"] - row["alone_ns"] for row in rows]
    marked = [row for row in rows if row["marked"] is not None]
    produced = sum(row["operations"] for row in marked)
    found = sum(min(row["marked"], row["operations"]) for row in marked)
    many = [row for row in rows if row["delivered"] >= 100]
    return Cost(
        tool=tool,
        ns=Range.of([row["ns"] for row in rows]),
        added=Range.of(added),
        cpu_added=_cpu_added(rows),
        produced=produced if marked else None,
        delivered=found if marked else sum(row["delivered"] for row in rows),
        lost_share=1 - found / produced if marked else None,
        own=Range.of([row["own_ns"] / row["delivered"] for row in many]) if many else None,
        per_second=statistics.median(r["marked"] / r["seconds"] for r in marked)
        if marked
        else None,
    )


def _cpu_added(rows: Rows) -> Range | None:
    """Return the processor time that a tool adds; None where it is not known.

    perf trace does not wait for the build that it starts, and nobody is told what that took.
    """
    known = [row["cpu_ns"] - row["alone_cpu_ns"] for row in rows if row["cpu_ns"]]
    return Range.of(known) if known else None


def write_tables(results: Results, path: Path) -> None:
    """Put the tables into the document at `path`, which has the two marks."""
    text = path.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{chr(10).join(render(results))}\n{END}{after}")


def render(results: Results) -> Iterator[str]:
    """Yield the lines."""
    yield from _describe(results)
    yield from ("", "### Targets", "", *_targets(results))
    for work, does in results["works"].items():
        yield from ("", f"### {work}: {does}", "", *_work_table(results, work))
    yield from ("", "### Start and memory", "", *_tool_table(results))
    yield from ("", "### Program of the profile `minimal`", "", "```", *results["program"], "```")
    if results["others"]:
        yield (
            "\n**Others traced this host meanwhile** "
            f"(up to {results['others']} of their programs were loaded while the work was done "
            "under nothing), so that it paid already for what any tracer makes every call pay: "
            "what a null call shows is only what a further tracer adds."
        )
    left_out = [f"{name} is not installed ({how})" for name, how in results["missing"].items()]
    left_out += [f"{what}: {_first_line(why)}" for what, why in results["failed"].items()]
    if left_out:
        yield from ("", "Left out: " + "; ".join(left_out) + ".")


def _first_line(text: str) -> str:
    return text.splitlines()[-1].strip() if text else "it says nothing"


def _describe(results: Results) -> Iterator[str]:
    machine = results["machine"]
    yield ""
    yield (
        f"Measured {machine['date']} in {results['rounds']} rounds of {results['seconds']:g} s "
        f"a work, on {machine['processors']} processors ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']} {machine['architecture']}, Python {machine['python']}. "
        f"Load average {machine['load_before']:.2f} before and {machine['load_after']:.2f} "
        "after, of which the measurement itself makes about 1."
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _work_table(results: Results, work: str) -> Iterator[str]:
    costs = costs_of(results, work)
    own = next((cost for cost in costs if cost.tool == "etracee"), None)
    if work == "build":
        heads = ("tool", "s", "added s", "added CPU s", "of etracee's", "delivered")
        heads = (*heads, "own CPU ns/event")
        rows = [_build_row(cost, own) for cost in costs]
    else:
        heads = ("tool", "ns", "added ns", "added CPU ns", "of etracee's")
        heads = (*heads, "delivered of produced", "lost", "delivered/s", "own CPU ns/event")
        rows = [_loop_row(cost, own) for cost in costs]
    return _table(heads, rows)


def _loop_row(cost: Cost, own: Cost | None) -> list[str]:
    produced = f"{cost.delivered:,} of {cost.produced:,}" if cost.produced else "-"
    return [
        cost.tool,
        _number(cost.ns.median),
        _added(cost, cost.added),
        _added(cost, cost.cpu_added),
        _ratio(cost, own),
        produced,
        "-" if cost.lost_share is None else f"{cost.lost_share:.1%}",
        "-" if cost.per_second is None else f"{cost.per_second:,.0f}",
        _range(cost.own),
    ]


def _build_row(cost: Cost, own: Cost | None) -> list[str]:
    delivered = f"{cost.delivered:,}" if cost.tool != "nothing" else ""
    median = f"{cost.ns.median / 1e9:.2f}"
    added = [_added(cost, each, 1e9, 2) for each in (cost.added, cost.cpu_added)]
    return [cost.tool, median, *added, _ratio(cost, own), delivered, _range(cost.own)]


def _added(cost: Cost, added: Range | None, scale: float = 1.0, digits: int = 0) -> str:
    if cost.tool == "nothing" or added is None:
        return "" if added else "-"
    values = (added.median, added.least, added.most)
    median, least, most = (f"{value / scale:+,.{digits}f}" for value in values)
    return f"{median} ({least} to {most})"


def _ratio(cost: Cost, own: Cost | None) -> str:
    """Return how many times etracee's addition this one is; nothing where that is but noise."""
    if cost.tool == "nothing" or None in (cost.cpu_added, own):
        return ""
    assert own is not None
    added = _added_median(own)
    return f"{_added_median(cost) / added:.1f}" if added > _NOISE * own.ns.median else ""


def _range(value: Range | None) -> str:
    if value is None:
        return "-"
    return f"{value.median:,.0f} ({value.least:,.0f} to {value.most:,.0f})"


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _tool_table(results: Results) -> Iterator[str]:
    memory: dict[str, list[float]] = {}
    for row in results["taken"]:
        if row["memory_kib"]:
            memory.setdefault(row["tool"], []).append(row["memory_kib"] * 1024 / 1e6)
    rows = []
    for tool in dict.fromkeys([*results["first_event_ms"], *memory]):
        first = results["first_event_ms"].get(tool)
        most = f"{max(memory[tool]):,.1f}" if tool in memory else "-"
        rows.append([tool, _range(Range.of(first)) if first else "-", most])
    return _table(("tool", "launch to first event, ms", "memory (PSS), MB, at most"), rows)


@dataclass(frozen=True)
class _Target:
    """A figure to reach; `measure` returns what was measured, and whether that is enough.

    None is for what this run cannot tell.
    """

    figure: str
    target: str
    measure: Callable[[Results], tuple[str, bool | None]]


_ANSWERS = {True: "yes", False: "**no**", None: "unknown"}


def _targets(results: Results) -> Iterator[str]:
    rows = []
    for target in _TARGETS:
        try:
            measured, is_reached = target.measure(results)
        except (KeyError, StopIteration, statistics.StatisticsError):
            continue  # what it is about was not measured
        rows.append([target.figure, target.target, measured, _ANSWERS[is_reached]])
    return _table(("figure", "target", "measured", "reached"), rows)


def _cost_of(results: Results, work: str, tool: str = "etracee") -> Cost:
    return next(cost for cost in costs_of(results, work) if cost.tool == tool)


def _unwatched(results: Results) -> tuple[str, bool | None]:
    tools = ("etracee", "bpftrace", "perf trace")
    own, other, perf = [_added_median(_cost_of(results, "null call", tool)) for tool in tools]
    said = f"{own:+.0f} ns; bpftrace's {other:+.0f} ns, perf trace's {perf:+.0f} ns"
    if results["others"]:
        return f"{said}; others traced meanwhile", None
    return said, own <= 1.15 * other and own <= perf / 6


def _added_median(cost: Cost) -> float:
    assert cost.cpu_added is not None
    return cost.cpu_added.median


def _below(work: str, limit: float, unit: str, scale: float) -> Callable[..., tuple[str, bool]]:
    def measure(results: Results) -> tuple[str, bool]:
        cost = _cost_of(results, work)
        lost = f", {cost.lost_share:.1%} lost" if cost.lost_share is not None else ""
        return (
            f"{_added(cost, cost.cpu_added, scale, 1)} {unit}{lost}",
            _added_median(cost) < limit,
        )

    return measure


def _own(tool: str, limit: float) -> Callable[[Results], tuple[str, bool]]:
    def measure(results: Results) -> tuple[str, bool]:
        own = _cost_of(results, "open+close", tool).own
        assert own is not None
        return f"{_range(own)} ns", own.median < limit

    return measure


def _rate(results: Results) -> tuple[str, bool]:
    cost = _cost_of(results, "open+close")
    assert cost.per_second is not None and cost.lost_share is not None
    made = 1e9 / cost.ns.median
    said = f"{cost.per_second:,.0f}/s of {made:,.0f}/s made, {cost.lost_share:.1%} lost"
    return said, cost.per_second >= 400_000


def _first(tool: str, limit: float) -> Callable[[Results], tuple[str, bool]]:
    def measure(results: Results) -> tuple[str, bool]:
        taken = Range.of(results["first_event_ms"][tool])
        return f"{_range(taken)} ms", taken.median < limit

    return measure


def _memory(results: Results) -> tuple[str, bool]:
    rows = [row for row in results["taken"] if row["tool"] == "etracee" and row["memory_kib"]]
    most = max(row["memory_kib"] for row in rows) * 1024 / 1e6
    return f"{most:.1f} MB", most < 45


def _idle(results: Results) -> tuple[str, bool]:
    share = statistics.median(results["idle_share"])
    return f"{share:.3%}", share < 0.002


_TARGETS = (
    _Target(
        "an unwatched call, one call watched",
        "at most 1.15 times bpftrace's added cost, a sixth of perf trace's",
        _unwatched,
    ),
    _Target("open+close, openat delivered", "under 500 ns", _below("open+close", 500, "ns", 1)),
    _Target("fork+exec+exit", "under 20 µs", _below("fork+exec+exit", 20_000, "µs", 1000)),
    _Target("own CPU per delivered event", "under 700 ns", _own("etracee", 700)),
    _Target("the same, context cut to pid", "under 500 ns", _own("etracee, pid alone", 500)),
    _Target("tight open+close loop", "400,000 events/s delivered", _rate),
    _Target("launch to first event, compiling", "under 400 ms", _first("etracee, compiling", 400)),
    _Target("launch to first event", "under 80 ms from the cache", _first("etracee", 80)),
    _Target("memory of the monitor, ring apart", "under 45 MB", _memory),
    _Target("idle", "under 0.2 % of a processor", _idle),
)
