"""What does not fit in the ring is counted, reported in its place, and told by the exit code."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from kernel_run import Etracee, Run, compile_c

OPENS = 200_000
PROFILE = {
    "options": {"ring_buffer": "64KiB"},
    "events": {"openat": {"filter": "not filename endswith .filtered"}, "exit": {}},
}


def burst(work: Path, count: int = OPENS) -> Path:
    """Return a program that opens far faster than anybody could read, and ends with 9."""
    return compile_c(work, BURST, f"-DCOUNT={count}")


BURST = """
#define _GNU_SOURCE
#include <fcntl.h>
int main(void)
{
    for (int i = 0; i < COUNT; i++)
        openat(AT_FDCWD, i % 4 ? "/no/such/file" : "/no/such.filtered", O_RDONLY);
    return 9;
}
"""


def check_counters(run: Run) -> None:
    """Hold the summary against itself and against what has come."""
    for name, count in run.summary.items():
        assert count.seen == count.filtered + count.sent + count.lost, f"{name}: {count}"
        assert count.sent == len(run.of(name)), f"{name}: {count}, {len(run.of(name))} have come"


def test_loss_is_counted_and_reported(etracee: Etracee, work: Path) -> None:
    run = etracee.run(PROFILE, burst(work), code=9)
    check_counters(run)
    opens = run.summary["openat"]
    assert opens.lost > 0, "a ring of 64 KiB held a burst of 200,000 events"
    assert opens.seen > OPENS
    assert opens.filtered == OPENS // 4
    reports = [item for item in run.items if item["type"] == "lost"]
    assert sum(report["count"] for report in reports) == sum(c.lost for c in run.summary.values())
    for report in reports:
        assert {*report} == {"type", "event", "count", "from", "to", "blind_rules"}
        assert report["count"] > 0
        assert re.fullmatch(r"\d{19}", report["from"])
        assert int(report["from"]) < int(report["to"])
    for earlier, later in itertools.pairwise(reports):
        if earlier["event"] == later["event"]:
            assert int(earlier["to"]) <= int(later["from"]), "two reports of the same time"
    times = [int(event["timestamp"]) for event in run.of("openat")]
    assert int(reports[0]["from"]) <= times[0] <= times[-1]


def test_loss_above_the_limit_is_code_4(etracee: Etracee, work: Path) -> None:
    run = etracee.run(PROFILE, burst(work), code=4, options=["--max-loss", "0"])
    assert run.summary["openat"].lost > 0
    lost = sum(count.lost for count in run.summary.values())
    assert lost < OPENS * 2, "not more than was done"


def test_without_loss_the_status_is_the_commands(etracee: Etracee, work: Path) -> None:
    """A burst that fits: nothing lost, and COMMAND's own status."""
    profile = {**PROFILE, "options": {"ring_buffer": "16MiB"}}
    run = etracee.run(profile, burst(work, 20_000), code=9, options=["--max-loss", "0"])
    check_counters(run)
    assert run.summary["openat"].lost == 0
    assert len([e for e in run.of("openat") if e["filename"] == "/no/such/file"]) == 15_000
    assert not [item for item in run.items if item["type"] == "lost"]
