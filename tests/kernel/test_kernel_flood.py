"""A flood that nobody reads: each call is delivered or told lost, and what matters most arrives."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kernel_run import Etracee, Run, compile_c, exact, exact_list

OPENS, RUNS, EACH = 5_000, 40, 100
"""Opens, programs that are run behind them, and of how many opens one has another name."""

FLOOD = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* State of a process: proc(5). */
static char state_of(pid_t pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int file = open(path, O_RDONLY);
    if (file < 0 || read(file, text, sizeof(text) - 1) <= 0)
        exit(1);
    close(file);
    return strrchr(text, ')')[2];
}

/* flood PREFIX OPENS EACH RUNS TOOL, while its parent, who would read of it, is stopped. */
int main(int argc, char **argv)
{
    char name[256];
    int opens = atoi(argv[2]), each = atoi(argv[3]), runs = atoi(argv[4]);
    pid_t reader = getppid();

    kill(reader, SIGSTOP);
    while (state_of(reader) != 'T')
        usleep(1000);
    for (int i = 0; i < opens; i++) {
        snprintf(name, sizeof(name), "%s%s%d", argv[1], i % each ? "other-" : "chosen-", i);
        open(name, O_RDONLY);
    }
    for (int i = 0; i < runs; i++) {
        snprintf(name, sizeof(name), "%d", i);
        if (!vfork()) {
            execl(argv[5], name, (char *)0);
            _exit(1);
        }
        wait(0);
    }
    kill(reader, SIGCONT);
    return 0;
}
"""


def flood(
    etracee: Etracee,
    work: Path,
    rules: Sequence[dict[str, Any]] = (),
    each: int = EACH,
    ring: str = "64KiB",
) -> Run:
    """Run the flood, by default with a ring that holds some 400 of its opens."""
    path = work / "rules.yaml"
    profile: dict[str, Any] = {
        "options": {"ring_buffer": ring},
        "events": {
            "openat": {"filter": f"filename startswith {work}/n/"},
            "execve": {"filter": "filename = /bin/true"},
            "exit": {"filter": "comm = true"},
        },
    }
    if rules:
        path.write_text(json.dumps({"rules": rules}))
        profile["rules"] = [str(path)]
    words = [str(OPENS), str(each), str(RUNS), "/bin/true"]
    return etracee.run(profile, compile_c(work, FLOOD), f"{work}/n/", *words)


def grave(event: str, condition: str, level: str = "high") -> dict[str, Any]:
    return {
        "id": "grave",
        "title": "Grave",
        "level": level,
        "events": [event],
        "condition": condition,
    }


def numbers_of(run: Run, work: Path, kind: str) -> list[int]:
    """Return the numbers of the opens of that kind that were delivered."""
    prefix = f"{work}/n/{kind}-".encode()
    found = [exact(event, "filename") or b"" for event in run.of("openat")]
    return [int(name.removeprefix(prefix)) for name in found if name.startswith(prefix)]


def check_told(run: Run, made: dict[str, int]) -> Counter[str]:
    """Hold what was delivered and what is told lost against what was made; return the lost."""
    lost: Counter[str] = Counter()
    for item in run.items:
        if item["type"] == "lost":
            lost[item["event"]] += item["count"]
    for event, count in made.items():
        counts, delivered = run.summary[event], len(run.of(event))
        assert counts.seen == counts.filtered + counts.sent + counts.lost, f"{event}: {counts}"
        assert (counts.sent, counts.lost) == (delivered, lost[event]), f"{event}: {counts}"
        assert delivered + lost[event] == count, f"{event}: {delivered} and {lost[event]} lost"
    return lost


MADE = {"openat": OPENS, "execve": RUNS, "exit": RUNS}


def check_runs(run: Run) -> None:
    vectors = [exact_list(event, "argv") for event in run.of("execve")]
    assert vectors == [[str(number).encode()] for number in range(RUNS)]


def test_without_rules_a_flood_leaves_room_to_processes(etracee: Etracee, work: Path) -> None:
    run = flood(etracee, work)
    lost = check_told(run, MADE)
    assert lost["openat"] > OPENS // 2
    check_runs(run)
    assert not lost["exit"], "the end of each program"
    opened = sorted(numbers_of(run, work, "other") + numbers_of(run, work, "chosen"))
    assert opened == list(range(len(opened))), "the first, until the ring was nearly full"


@pytest.mark.parametrize("level", ["high", "critical"])
def test_what_a_grave_rule_may_need_has_the_last_quarter(
    etracee: Etracee, work: Path, level: str
) -> None:
    run = flood(etracee, work, [grave("openat", f"filename startswith {work}/n/chosen", level)])
    lost = check_told(run, MADE)
    assert numbers_of(run, work, "chosen") == list(range(0, OPENS, EACH)), "all of them"
    others = numbers_of(run, work, "other")
    assert others == [n for n in range(others[-1] + 1) if n % EACH], "the first of the others"
    assert lost["execve"] == lost["exit"] == RUNS, "no rule asks for them"
    assert len([item for item in run.items if item["type"] == "alert"]) == OPENS // EACH


def test_an_execve_is_not_pushed_out(etracee: Etracee, work: Path) -> None:
    run = flood(etracee, work, [grave("execve", "filename = /bin/true")])
    lost = check_told(run, MADE)
    check_runs(run)
    assert lost["openat"] > OPENS // 2 and lost["exit"] == RUNS
    assert len([item for item in run.items if item["type"] == "alert"]) == RUNS


def test_what_has_the_last_quarter_is_told_lost_when_that_is_full(
    etracee: Etracee, work: Path
) -> None:
    run = flood(etracee, work, [grave("openat", f"filename startswith {work}/n/chosen")], each=2)
    check_told(run, MADE)
    chosen, others = numbers_of(run, work, "chosen"), numbers_of(run, work, "other")
    assert chosen == list(range(0, 2 * len(chosen), 2)), "the first, until the ring was full"
    assert len(others) < len(chosen) < OPENS // 2


def test_without_a_grave_rule_all_have_the_whole_ring(etracee: Etracee, work: Path) -> None:
    """Nothing gives way where nothing is to stay: opens alone are watched."""
    profile = {
        "options": {"ring_buffer": "64KiB"},
        "events": {"openat": {"filter": f"filename startswith {work}/n/"}},
    }
    words = [f"{work}/n/", str(OPENS), str(EACH), "0", "/bin/true"]
    run = etracee.run(profile, compile_c(work, FLOOD), *words)
    check_told(run, {"openat": OPENS})
    whole = len(run.of("openat"))
    part = len(flood(etracee, work).of("openat"))
    assert part < whole < OPENS


def test_the_ring_that_would_have_held_it_does(etracee: Etracee, work: Path) -> None:
    said = re.search(
        r"would have fitted into options.ring_buffer: (\S+)", flood(etracee, work).stderr
    )
    assert said is not None
    assert said[1] in ("1MiB", "2MiB"), "5,000 events of about 170 bytes, and not much more"
    run = flood(etracee, work, ring=said[1])
    assert not check_told(run, MADE)
    assert "options.ring_buffer" not in run.stderr
