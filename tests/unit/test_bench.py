"""`etracee bench`: statistics, choice of workloads, forms of output; no kernel is needed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from etracee.bench.compare import read_report, render_comparison
from etracee.bench.figures import (
    FEWEST_EVENTS,
    ProgramFigures,
    Reading,
    Report,
    Round,
    Spread,
    Traced,
    WorkloadFigures,
    spread_of,
    summarize,
)
from etracee.bench.load import CommandLoad
from etracee.bench.report import render_json, render_table
from etracee.bench.worker import measure_loop
from etracee.bench.workloads import WORKLOADS, choose_workloads, find_workload
from etracee.problems import ExitCode, ProblemsError
from etracee.summary import Counts


def a_round(
    without: int,
    traced: int,
    *,
    operations: int = 1000,
    delivered: int = 1000,
    lost: int = 0,
    not_run: int = 0,
    tracer_ns: int = 2_000_000,
) -> Round:
    """Return a round whose two halves took these nanoseconds an operation."""
    counts = Counts(seen=delivered + lost, sent=delivered, lost=lost)
    return Round(
        Reading(operations, without * operations, without * operations // 2),
        Reading(operations, traced * operations, traced * operations // 2),
        Traced(
            {"openat": counts}, delivered, 0, not_run, tracer_ns, 112 * delivered, 280 * delivered
        ),
    )


def figures_of(*rounds: Round, makes: dict[str, int] | None = None) -> WorkloadFigures:
    return summarize("open+close", "opens", makes or {"openat": 1}, ("openat", "exit"), rounds)


def report_of(*figures: WorkloadFigures) -> Report:
    return Report(
        profile="minimal",
        rules=(),
        alerts_only=False,
        watched=("openat", "exit"),
        version="0.1.0",
        kernel="6.6.0",
        rounds=3,
        workload_cpu=0,
        tracer_cpu=1,
        tracer_launch_to_first_event_ms=Spread(300.0, 290.0, 310.0),
        tracer_launch_to_attached_ms=None,
        tracer_memory_pss_kib=Spread(20480.0, 20480.0, 20480.0),
        programs=(ProgramFigures("sys_exit_openat", 142, 157), ProgramFigures("stub", 6, 5)),
        workloads=figures,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], Spread(7.0, 7.0, 7.0)),
        ([3.0, 1.0, 2.0], Spread(2.0, 1.0, 3.0)),
        ([4.0, 1.0, 2.0, 100.0], Spread(3.0, 1.0, 100.0)),
        ([-5.0, 5.0], Spread(0.0, -5.0, 5.0)),
    ],
)
def test_spread(values: list[float], expected: Spread) -> None:
    assert spread_of(values) == expected


def test_added_is_paired_by_round() -> None:
    """A host that becomes slower from round to round adds nothing to what etracee adds."""
    figures = figures_of(a_round(100, 110), a_round(200, 211), a_round(400, 409))
    assert figures.wall_ns_per_operation_without == Spread(200.0, 100.0, 400.0)
    assert figures.wall_ns_per_operation_added == Spread(10.0, 9.0, 11.0)
    assert figures.processor_ns_per_operation_added == Spread(5.0, 4.5, 5.5)


def test_added_may_be_negative() -> None:
    assert figures_of(a_round(100, 97)).wall_ns_per_operation_added.median == -3.0


def test_events_are_added_up_over_rounds() -> None:
    rounds = (a_round(1, 2, delivered=900, lost=100), a_round(1, 2, lost=50, not_run=7))
    events = figures_of(*rounds, makes={"openat": 2, "execve": 1}).events
    assert events.expected == 2 * 2000  # execve is not watched
    assert events.seen == 2050
    assert events.delivered == 1900
    assert events.not_run == 7
    assert events.lost == 157
    assert events.by_name == {"openat": Counts(seen=2050, sent=1900, lost=150)}


def test_tracer_time_is_of_delivered_events() -> None:
    rounds = (a_round(1, 2, delivered=500, lost=500), a_round(1, 2), a_round(1, 2))
    assert figures_of(*rounds).tracer_processor_ns_per_delivered_event == Spread(2e3, 2e3, 4e3)


def test_tracer_time_of_few_events_is_not_told() -> None:
    few = a_round(1, 2, delivered=FEWEST_EVENTS - 1)
    assert figures_of(a_round(1, 2), few).tracer_processor_ns_per_delivered_event is None


def test_tracer_time_needs_events_of_the_workload() -> None:
    """The host's own events do not make up for a workload that makes none."""
    rounds = [a_round(1, 2)]
    unwatched = summarize("unwatched call", "getppid()", {}, ("openat",), rounds)
    assert unwatched.events.expected == 0
    assert unwatched.tracer_processor_ns_per_delivered_event is None
    command = summarize("command", "make", None, ("openat",), rounds)
    assert command.events.expected is None
    assert command.tracer_processor_ns_per_delivered_event is not None


def test_counts_add_and_subtract() -> None:
    one, other = Counts(10, 1, 7, 2), Counts(4, 1, 3, 0)
    assert one + other == Counts(14, 2, 10, 2)
    assert one - other == Counts(6, 0, 4, 2)


def test_json_is_the_whole_record() -> None:
    said = json.loads(render_json(report_of(figures_of(a_round(100, 110))), {}))
    workload = said["workloads"][0]
    assert workload["wall_ns_per_operation_added"] == {"median": 10.0, "min": 10.0, "max": 10.0}
    assert workload["tracer_processor_ns_per_delivered_event"]["median"] == 2000.0
    assert workload["events"]["by_name"]["openat"]["seen"] == 1000
    assert said["tracer_launch_to_first_event_ms"]["median"] == 300.0


def test_table_is_aligned_and_shows_loss_beside_time() -> None:
    slow = a_round(2_000_000, 2_500_000, operations=10, delivered=10)
    table = render_table(report_of(figures_of(a_round(100, 110, lost=250)), figures_of(slow)))
    lines = table.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("workload"))
    first, second = lines[start + 1 : start + 3]
    assert len(first) == len(second) == len(lines[start])
    assert first.split() == [
        *("open+close", "1,000", "100.0", "+10.0", "+10.0", "+10.0", "+10.0%", "+5.0"),
        *("1,250", "1,000", "250", "20.0%", "2,000", "1818.2%"),
    ]
    assert second.split()[-2] == "-"  # ten events say nothing of one


def test_table_says_that_the_host_was_busy() -> None:
    """The workload of a_round() has its processor for half of the time."""
    assert "had its processor for 50% of the time" in render_table(
        report_of(figures_of(a_round(100, 110)))
    )


def test_table_of_a_command_has_both_times() -> None:
    rounds = [a_round(1000, 1300, operations=1)]
    table = render_table(report_of(summarize("command", "make -j2", None, ("openat",), rounds)))
    lines = [line for line in table.splitlines() if line.startswith(("wall time", "CPU time"))]
    assert [line.split()[0] for line in lines] == ["wall", "CPU"]
    assert "command: make -j2" in table


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        (("openat",), ["getppid()", "opens a file in /tmp and closes it"]),
        (("exit",), ["getppid()", "starts `true` and waits for its end"]),
        (("getppid",), ["getuid()"]),
        (("unlink",), ["getppid()"]),
    ],
)
def test_workloads_follow_the_profile(watched: tuple[str, ...], expected: list[str]) -> None:
    assert [workload.does for workload in choose_workloads(watched)] == expected


def test_every_workload_is_found_by_what_it_does() -> None:
    assert [find_workload(each.does) for each in WORKLOADS] == list(WORKLOADS)


@pytest.mark.parametrize("does", [each.does for each in WORKLOADS])
def test_every_loop_is_bounded_and_takes_time(does: str) -> None:
    with find_workload(does).prepare() as loop:
        wall, processor = measure_loop(loop, 3)
    assert wall > 0
    assert processor >= 0


def test_command_is_one_operation_and_its_status_is_kept() -> None:
    load = CommandLoad(["sh", "-c", "echo unseen; exit 3"])
    reading = load.run()
    assert reading.operations == 1
    assert reading.wall_ns > 0
    assert load.codes == {3}


def test_command_that_does_not_exist() -> None:
    with pytest.raises(ProblemsError, match="no such program") as caught:
        CommandLoad(["no-such-program-anywhere"])
    assert caught.value.code == ExitCode.NOT_FOUND


def test_a_report_that_was_saved_is_compared(tmp_path: Path) -> None:
    """The rounds of the two do not overlap in time, but in memory."""
    earlier, now = (report_of(figures_of(a_round(100, traced))) for traced in (150, 110))
    path = tmp_path / "earlier.json"
    path.write_text(render_json(earlier, {}))
    text = render_comparison(now, read_report(str(path)), ("now", "before"))
    rows = {tuple(line.split()[:-3]): line.split()[-3:] for line in text.splitlines()}
    assert rows["open+close", "ns", "added"] == ["50.0", "10.0", "-40.0*"]
    assert rows["open+close", "ring", "B", "an", "event"] == ["112.0", "112.0", "+0.0"]
    assert rows["etracee", "verified"] == ["162.0", "162.0", "+0.0"]
    assert rows["etracee", "KiB", "of", "memory"][-1] == "+0.0"


def test_bytes_are_of_events_and_of_seconds() -> None:
    found = figures_of(a_round(100, 200), a_round(100, 200, delivered=500, lost=500)).bytes
    assert found.ring_per_event == 112
    assert found.written_per_event == 280
    assert found.ring_per_second == pytest.approx(1500 * 112 / (2 * 200_000e-9))
    assert figures_of(a_round(1, 2, delivered=0)).bytes.written_per_event is None


def test_no_figure_is_made_up() -> None:
    """Nothing is divided by what may be zero."""
    table = render_table(report_of(figures_of(a_round(0, 0, delivered=0))))
    assert "nan" not in table
    assert not math.isnan(figures_of(a_round(0, 0)).wall_ns_per_operation_added.median)
