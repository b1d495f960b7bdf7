"""Counting in the kernel: strace and bpftrace say the same, and every event is in one count."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from kernel_reload import Reloaded, write
from kernel_run import (
    FENTRY,
    PATIENCE,
    PYTHON,
    Etracee,
    Event,
    compile_c,
    exact,
    needs_tool,
    script,
    unique_comm,
    until,
)
from test_kernel_bpftrace import SCRIPT
from test_kernel_bpftrace import WORKLOAD as KNOWN_CALLS

from etracee.catalog import load_catalog

BUSY = """
for turn in range(200):
    libc.openat(-100, b"/no/such/file", 0)
    libc.close(libc.openat(-100, b"/dev/null", 0))
    libc.close(-1)
    libc.unlink(b"")
    libc.connect(-1, b"\\2\\0" + bytes(14), 16)
    libc.getppid()
def work():
    for turn in range(300):
        libc.read(-1, None, 0)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for turn in range(5):
    if os.fork() == 0:
        libc.chdir(b"/no/such/directory")
        os._exit(turn)
    os.wait()
"""
NOT_ALIKE = {"execve", "exit_group", "syscall.exit"}
"""The first is strace's, under its name; what does not return is in no table of strace's."""


def test_strace_counts_the_same(etracee: Etracee, work: Path) -> None:
    name = unique_comm()
    (work / name).symlink_to(sys.executable)
    python = (work / name, *PYTHON[1:])
    _, *workload = script(work, BUSY)[len(PYTHON) - 1 :]
    options = ("-f", "-c", "-U", "name,calls,errors", "-o", work / "counted")
    run = etracee.run("counts", needs_tool("strace"), *options, *python, *workload)
    theirs = read_table((work / "counted").read_text())
    ours = calls_and_errors(count for count in run.counts if count["key"]["comm"] == name)
    known = load_catalog().events.keys() - NOT_ALIKE
    assert theirs["read"][1] >= 900 and theirs["chdir"] == (5, 5), "the workload has not run"
    assert {call: n for call, n in ours.items() if call in known} == {
        call: n for call, n in theirs.items() if call in known
    }
    assert run.lost == 0


def read_table(text: str) -> dict[str, tuple[int, int]]:
    """Return calls and errors by name, as strace -c counts them."""
    rows = (line.split() for line in text.splitlines())
    numbers = {row[0]: tuple(map(int, row[1:])) for row in rows if row[1:] and row[1].isdigit()}
    return {
        name: (row[0], row[1] if row[1:] else 0) for name, row in numbers.items() if name != "total"
    }


def calls_and_errors(counts: Iterable[Event]) -> dict[str, tuple[int, int]]:
    calls: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for count in counts:
        calls[count["event"]] += count["count"]
        errors[count["event"]] += count["count"] if count["key"].get("error") else 0
    return {name: (calls[name], errors[name]) for name in calls}


def test_bpftrace_counts_the_same(etracee: Etracee, work: Path, tmp_path: Path) -> None:
    name = unique_comm()
    counted = tmp_path / "counted"
    with counted.open("wb") as file:
        command = [needs_tool("bpftrace"), "-B", "line", SCRIPT, name]
        bpftrace = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE)
    profile = {
        "extends": ["minimal"],
        "filter": f"comm = {name}",
        "mode": "count",
        "count": {"by": ["pid"], "every": "100ms"},
    }
    try:
        until(lambda: "counting" in counted.read_text(), "bpftrace's start")
        run = etracee.run(profile, *script(work, f"name = {name.encode()!r}\n{KNOWN_CALLS}"))
    finally:
        bpftrace.terminate()
        bpftrace.communicate(timeout=PATIENCE)
    found = re.findall(r"@calls\[(\w+)\]: (\d+)", counted.read_text())
    ours: Counter[str] = Counter()
    for count in run.counts:
        ours[count["event"]] += count["count"]
    assert {event: int(count) for event, count in found} == ours
    assert ours["openat"] == 3020
    for event, counts in run.summary.items():
        assert counts.seen == counts.filtered + ours[event], event


LOAD = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two processes that ask for numbered names until STOP is there, and say how often they did. */
int main(int argc, char **argv)
{
    for (int number = 0; number < 2; number++) {
        if (fork())
            continue;
        long count = 0;
        char name[32];
        do {
            sprintf(name, "/no/such/file-%ld", count % 50);
            unlink(name);
            if (count % 500 == 0)
                usleep(5000);
        } while (++count % 500 || access(argv[1], F_OK));
        printf("%ld\\n", count);
        fflush(stdout);
        _exit(0);
    }
    while (wait(0) > 0)
        ;
    return 0;
}
"""


@dataclass
class Load:
    """Processes that make calls, until the file `stop` is there."""

    program: Path
    stop: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([self.program, self.stop], stdout=subprocess.PIPE)

    def end(self) -> int:
        """Return how many calls there were."""
        assert self.process is not None
        self.stop.touch()
        stdout, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0
        return sum(map(int, stdout.split()))


@pytest.fixture
def load(work: Path) -> Iterator[Load]:
    """Return the load, which does not run yet."""
    load = Load(compile_c(work, LOAD, name=unique_comm()), work / "stop")
    yield load
    load.stop.touch()


def profile_of(comm: str, by: list[str], **options: object) -> Mapping[str, object]:
    return {
        "filter": f"comm = {comm}",
        "mode": "count",
        "count": {"by": by, "every": "100ms"},
        "events": {"unlink": {}},
        "options": {"ring_buffer": "64KiB", **options},
    }


@pytest.mark.parametrize("attach", ["auto", FENTRY])
def test_ticks_and_reloads_lose_and_double_nothing(
    etracee: Etracee, work: Path, load: Load, attach: str
) -> None:
    path, comm = work / "profile.yaml", load.program.name
    write(path, profile_of(comm, ["pid", "filename"], attach=attach))
    running = Reloaded(etracee.start(str(path)), path)
    until(lambda: "etracee: profile" in running.listen(), "the start", running.running)
    load.start()
    for turn in range(4):
        seen = running.running.read_output().count(b"\n")
        until(
            lambda seen=seen: running.running.read_output().count(b"\n") > seen + 5,  # type: ignore[misc]
            "counts of two ticks",
            running.running,
        )
        by = [["pid", "filename"], ["pid"]][turn % 2]
        running.reload(profile_of(comm, by, attach=attach))
    done = load.end()
    run = running.end()
    assert sum(count["count"] for count in run.counts) == done > 10_000
    assert run.lost == 0
    assert run.summary["unlink"].seen - run.summary["unlink"].filtered == done
    assert run.summary["unlink"].counted == done
    for count in run.counts:
        assert int(count["from"]) < int(count["to"])


def test_what_does_not_fit_is_told(etracee: Etracee, load: Load) -> None:
    profile = profile_of(load.program.name, ["filename"], count_keys="16")
    running = etracee.start(profile, options=["--max-loss", "10"])
    load.start()
    running.await_output(b'"lost"')
    done = load.end()
    run = running.end()
    assert run.code == 4
    told = sum(count["count"] for count in run.counts)
    summary = run.summary["unlink"]
    assert summary.seen - summary.filtered == told + run.lost
    assert 0 < run.lost == summary.lost < done
    assert summary.counted == told
    assert "more keys than options.count_keys, unlink: " in run.stderr


HOSTILE = """
name = b"/no/such/\\xff\\n" + b"x" * 50
for turn in range(3):
    libc.openat(-100, b"/no/such/\\xff\\n", 0o100 | 1, 0o640)
for turn in range(2):
    libc.openat(-100, b"/no/such/" + b"y" * 60, 0)
libc.openat(-100, None, 0)
libc.connect(-1, b"\\2\\0\\0\\x50\\x7f\\0\\0\\1" + bytes(8), 16)
libc.connect(-1, b"\\x0a\\0\\1\\xbb" + bytes(4) + bytes(15) + b"\\1" + bytes(4), 28)
libc.connect(-1, b"\\1\\0/no/such/socket", 18)
if os.fork() == 0:
    os._exit(7)
os.wait()
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
"""


def test_keys_read_as_events_do(etracee: Etracee, work: Path) -> None:
    profile = {
        "mode": "count",
        "events": {
            "openat": {
                "filter": "filename startswith /no/such or not filename exists",
                "count": {"by": ["filename", "flags", "mode", "writes", "ret", "error"]},
            },
            "connect": {"count": {"by": ["family", "addr", "port"]}},
            "exit": {"count": {"by": ["exit_code", "signal"]}},
        },
        "options": {"max_string": "32"},
    }
    run = etracee.run(profile, *script(work, HOSTILE))
    hostile, long, missing = sorted(
        (c for c in run.counts if c["event"] == "openat"), key=lambda c: -c["count"]
    )
    assert exact(hostile_key(hostile), "filename") == b"/no/such/\xff\n"
    expected = {"flags": "O_WRONLY|O_CREAT", "mode": "0640", "writes": True, "ret": -2}
    assert hostile["count"] == 3 and hostile["key"].items() >= expected.items()
    assert hostile["key"]["error"] == "ENOENT" and "truncated" not in hostile
    assert long["key"]["filename"] == "/no/such/" + "y" * 23 and long["truncated"] == ["filename"]
    assert (long["count"], long["key"]["mode"], long["key"]["writes"]) == (2, None, False)
    assert missing["key"]["filename"] is None and missing["key"]["error"] == "EFAULT"
    addresses = {
        (c["key"]["family"], c["key"]["addr"], c["key"]["port"]): c["count"]
        for c in run.counts
        if c["event"] == "connect"
    }
    assert addresses == {
        ("AF_INET", "127.0.0.1", 80): 1,
        ("AF_INET6", "::1", 443): 1,
        ("AF_UNIX", None, None): 1,
    }
    exits = {
        (c["key"]["exit_code"], c["key"]["signal"]): c["count"]
        for c in run.counts
        if c["event"] == "exit"
    }
    assert exits == {(0, None): 1, (7, None): 1, (None, "SIGKILL"): 1}


def hostile_key(count: Event) -> Event:
    """Return the key with its raw bytes, as an event has them."""
    return {**count["key"], "raw": count.get("raw")}


def test_histogram(etracee: Etracee, work: Path) -> None:
    sizes = [0, 1, 2, 3, 4, 7, 8, 1023, 1024, 65536]
    text = f"""
null = os.open("/dev/null", os.O_WRONLY)
for size in {sizes!r}:
    libc.pwrite64(null, bytes(size), size, 0)
libc.pwrite64(-1, b"", 0, 0)
"""
    events = {"pwrite64": {"filter": "ret >= 0 or error = EBADF"}}
    profile = {"mode": "count", "count": {"histogram": "ret"}, "events": events}
    [count] = etracee.run(profile, *script(work, text)).counts
    assert count["key"] == {} and count["count"] == len(sizes) + 1
    buckets = count["histogram"]["buckets"]
    assert (count["histogram"]["field"], count["histogram"]["missing"]) == ("ret", 0)
    assert buckets[0] == {"at_least": None, "below": 0, "count": 1}
    for bucket in buckets[1:]:
        within = [size for size in sizes if bucket["at_least"] <= size < bucket["below"]]
        assert len(within) == bucket["count"]
    assert sum(bucket["count"] for bucket in buckets) == count["count"]


def test_rules_see_what_is_counted(etracee: Etracee, work: Path) -> None:
    rules = work / "rules.yaml"
    rules.write_text(
        """
rules:
  - {id: secret, title: Secret, events: [openat], condition: filename endswith /secret}
"""
    )
    within = f"{work}/within"
    text = f"""
for turn in range(50):
    libc.openat(-100, b"{within}/secret" if turn % 25 == 0 else b"{within}/other", 0)
"""
    profile = {
        "filter": f"filename startswith {within}/",
        "mode": "count",
        "count": {"by": ["error"]},
        "events": {"openat": {}},
        "rules": [str(rules)],
    }
    run = etracee.run(profile, *script(work, text))
    [count] = run.counts
    assert (count["count"], count["key"]) == (50, {"error": "ENOENT"})
    alerts = [item for item in run.items if item["type"] == "alert"]
    assert [alert["events"][0]["filename"] for alert in alerts] == [f"{within}/secret"] * 2
    assert run.events == []
    only = etracee.run(profile, *script(work, text), options=["--alerts-only"])
    assert {item["type"] for item in only.items} == {"alert"}


def test_count_limits_the_lines(etracee: Etracee, work: Path) -> None:
    text = """
for number in range(20):
    for turn in range(20 - number):
        libc.unlink(f"/no/such/{number}".encode())
"""
    profile = {"mode": "count", "count": {"by": ["filename"]}, "events": {"unlink": {}}}
    run = etracee.run(profile, *script(work, text), options=["--count", "3"])
    assert [(c["key"]["filename"], c["count"]) for c in run.items] == [
        ("/no/such/0", 20),
        ("/no/such/1", 19),
        ("/no/such/2", 18),
    ]
    assert "not delivered, since --count was reached: 17" in run.stderr
