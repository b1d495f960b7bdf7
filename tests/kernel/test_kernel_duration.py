"""How long calls take: from the entry, by the thread, and null where the entry was not seen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_reload import Reloaded, write
from kernel_run import (
    PATIENCE,
    Etracee,
    compile_c,
    each_attach,
    needs_tool,
    script,
    until,
)

CALLS = """
import time
clock = time.monotonic_ns
def timed(what, call, *arguments):
    before = clock()
    call(*arguments)
    print(what, threading.get_native_id(), clock() - before, sep="\\t", flush=True)
def work(number):
    for turn in range(5):
        timed("openat", os.open, f"/proc/self/status", os.O_RDONLY)
    reader, writer = os.pipe()
    os.dup2(reader, 50 + number)
    opened = f"{directory}/fifo-{number}"
    os.mkfifo(opened)
    threading.Timer(0.05 + 0.02 * number, lambda: os.open(opened, os.O_WRONLY)).start()
    timed("openat", os.open, opened, os.O_RDONLY)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
pid = os.fork()
if pid == 0:
    for name in ("/nonexistent", "/bin/true"):
        try: os.execv(name, ["x"])
        except OSError: pass
os.wait()
"""


@each_attach
def test_as_long_as_the_clocks_around_the_call_say(
    etracee: Etracee, work: Path, attach: str
) -> None:
    """Each thread's own, those that wait for another among them."""
    profile = {
        "context": ["pid", "tid"],
        "options": {"attach": attach},
        "events": {
            "openat": {"fields": ["filename", "duration_ns"]},
            "execve": {"fields": ["filename", "duration_ns"]},
        },
    }
    run = etracee.run(profile, *script(work, f"directory = {str(work)!r}\n{CALLS}"))
    wanted: dict[int, list[int]] = {}
    for line in run.stdout.decode().splitlines():
        _, tid, ns = line.split("\t")
        wanted.setdefault(int(tid), []).append(int(ns))
    assert [len(times) for times in wanted.values()] == [6] * 4
    for tid, times in wanted.items():
        found = [e["duration_ns"] for e in run.of("openat") if e["tid"] == tid]
        assert len(found) == 6
        assert all(0 < ours < around for ours, around in zip(found, times, strict=True))
        assert found[-1] > 40_000_000, "it has waited for another thread"
    calls = [(e["filename"], e["ret"], e["duration_ns"]) for e in run.of("execve")]
    assert [call[:2] for call in calls[1:]] == [("/nonexistent", -2), ("/bin/true", 0)]
    assert all(0 < ns < 60_000_000_000 for _, _, ns in calls)
    assert "what the entry tells" not in run.stderr


def test_as_long_as_strace_says(etracee: Etracee, work: Path) -> None:
    """strace -T adds its own time: each of its figures is an upper bound."""
    trace = work / "strace.out"
    names = ["openat", "unlink"]
    program = script(
        work,
        f"""
for number in range(20):
    fd = os.open(f"{work}/f-{{number}}", os.O_CREAT | os.O_WRONLY)
    os.write(fd, bytes(1 << 20))
    os.unlink(f"{work}/f-{{number}}")
""",
    )
    profile = {"events": {name: {"fields": ["filename", "duration_ns"]} for name in names}}
    options = ("-f", "-T", "-xx", "-e", f"trace={','.join(names)}", "-o", trace)
    run = etracee.run(profile, needs_tool("strace"), *options, *program)
    told = re.findall(r"(openat|unlink)\(.*<(\d+\.\d+)>$", trace.read_text(), re.MULTILINE)
    strace = run.events[0]["tid"]
    by_thread = [e for e in run.events if e["tid"] != strace]
    [tid] = {e["tid"] for e in by_thread if str(e["filename"]).startswith(f"{work}/f-")}
    ours = [(e["type"], e["duration_ns"]) for e in by_thread if e["tid"] == tid][-40:]
    assert [name for name, _ in ours] == [name for name, _ in told[-40:]]
    for (_, ns), (_, seconds) in zip(ours, told[-40:], strict=True):
        assert 0 < ns < float(seconds) * 1e9 + 1000


def test_a_filter_in_the_kernel(etracee: Etracee, work: Path) -> None:
    profile = {"events": {"openat": {"filter": "duration_ns > 40000000", "fields": ["filename"]}}}
    run = etracee.run(profile, *script(work, f"directory = {str(work)!r}\n{CALLS}"))
    names = sorted(event["filename"] for event in run.events if "fifo" in event["filename"])
    assert names == [f"{work}/fifo-{number}" for number in range(4)]
    assert all("duration_ns" not in event for event in run.events)
    counts = run.summary["openat"]
    assert counts.filtered > 20
    assert counts.sent == len(run.events)


REFUSED = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Opens that the kernel makes, and those with O_APPEND, which a filter answers in its place. */
int main(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_APPEND, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
    for (int i = 0; i < 10; i++) {
        syscall(SYS_openat, AT_FDCWD, "made", O_RDONLY, 0);
        syscall(SYS_openat, AT_FDCWD, "refused", O_RDONLY | O_APPEND, 0);
    }
    return 0;
}
"""


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
@pytest.mark.parametrize("kept", ["filename in (made, refused)", "filename = refused"])
def test_what_seccomp_refuses_has_no_entry(
    etracee: Etracee, work: Path, attach: str, kept: str
) -> None:
    """The kernel tells of its exit alone; the call before, which a filter may drop, is no entry."""
    profile = {
        "options": {"attach": attach},
        "events": {"openat": {"filter": kept, "fields": ["filename", "duration_ns"]}},
    }
    run = etracee.run(profile, compile_c(work, REFUSED))
    refused = [event for event in run.events if event["filename"] == "refused"]
    assert [(event["ret"], event["duration_ns"]) for event in refused] == [(-1, None)] * 10
    made = [event["duration_ns"] for event in run.events if event["filename"] == "made"]
    assert len(made) == 10 * ("made" in kept)
    assert None not in made
    lacking = [line for line in run.stderr.splitlines() if "what the entry tells" in line]
    assert [line.rpartition(", ")[2] for line in lacking] == ["openat: 10"]


def test_calls_that_were_under_way_before(etracee: Etracee, work: Path) -> None:
    """At the start and at a reload: null, and counted, never the time of another call."""
    fifos = [work / f"fifo-{number}" for number in range(3)]
    text = f"""
for name in {[str(fifo) for fifo in fifos]!r}:
    os.mkfifo(name)
    fd = os.open(name, os.O_RDONLY)
    os.read(fd, 1)
    os.open(name + ".done", os.O_CREAT)
"""
    profile = {
        "filter": f"filename startswith {work}/",
        "events": {"openat": {"fields": ["filename", "duration_ns"]}},
        "options": {"attach": "tracepoint"},
    }
    path = work / "profile.yaml"
    write(path, profile)
    waiting = subprocess.Popen([str(word) for word in script(work, text)])
    stat = Path(f"/proc/{waiting.pid}/stat")

    def await_opening(fifo: Path) -> None:
        until(fifo.exists, f"{fifo.name}")
        until(lambda: ") S " in stat.read_text(), f"somebody who waits for {fifo.name}")

    await_opening(fifos[0])
    try:
        reloaded = Reloaded(etracee.start(str(path)), path)
        reloaded.running.await_attached(work)
        fifos[0].open("w").close()
        await_opening(fifos[1])
        reloaded.reload({**profile, "context": ["pid"]})
        fifos[1].open("w").close()
        await_opening(fifos[2])
        fifos[2].open("w").close()
        waiting.wait(PATIENCE)
    finally:
        waiting.kill()
        waiting.wait()
    run = reloaded.end()
    found = {event["filename"]: event["duration_ns"] for event in run.events if event["ret"] >= 0}
    assert [found[str(fifo)] is None for fifo in fifos] == [True, True, False]
    assert all(found[f"{fifo}.done"] > 0 for fifo in fifos)


def test_what_nobody_reads_costs_nothing(etracee: Etracee, work: Path) -> None:
    """Without duration_ns there is no hook at the entry, and nothing is kept of it."""

    def generate(fields: list[str]) -> str:
        path = work / "profile.yaml"
        path.write_text(json.dumps({"name": "x", "events": {"openat": {"fields": fields}}}))
        words = [sys.executable, "-m", "etracee", "generate", "-p", path]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    plain, timed = generate(["filename"]), generate(["filename", "duration_ns"])
    for word in ("sys_enter_openat", "begun", "unpaired", "sched_process_exit"):
        assert word in timed
        assert word not in plain
