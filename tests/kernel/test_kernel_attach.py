"""Every attach type gives the same events for the same work."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest
from kernel_run import (
    FENTRY,
    OBSTACLE,
    Etracee,
    Event,
    Run,
    compile_c,
    each_attach,
    lacks,
    script,
)

WATCHED = ("execve", "execveat", "openat", "connect", "unlinkat", "fchmodat", "kill", "exit")

WORKLOAD = """
def leave(name):
    libc.openat(-100, work + name, os.O_CREAT | os.O_RDWR, 0o640)
    libc.fchmodat(-100, work + name, 0o755, 0)
for name in (b"/plain", b"/\\xff", b"/" + b"n" * 300): leave(name)
libc.openat(-100, None, 0)
thread = threading.Thread(target=leave, args=(b"/of-thread",)); thread.start(); thread.join()
libc.unlinkat(-100, work + b"/plain", 0)
local = b"\\2\\0\\0\\x09\\x7f\\0\\0\\1"
for family, address in ((2, local), (1, b"\\1\\0/no\\xffthing"), (1, b"\\1\\0\\0abstract")):
    libc.connect(libc.socket(family, 2, 0), address.ljust(16, b"\\0"), 16)
if os.fork() == 0: os.execv("/bin/sh", ["sh", "-c", "cat /etc/hostname; /bin/false; exit 3"])
os.wait()
os.posix_spawn("/bin/true", [b"true", b"\\xff", b""], {})
os.wait()
libc.kill(0x7ffffff0, 10)
fd = os.open("/bin/true", os.O_RDONLY); os.set_inheritable(fd, True)
libc.execveat(fd, b"", (ctypes.c_char_p * 2)(b"fd", None), None, 0x1000)
"""


@pytest.mark.parametrize("other", ["raw_tracepoint", FENTRY])
def test_attach_types_give_the_same_events(other: str, etracee: Etracee, work: Path) -> None:
    command = script(work, f"work = {bytes(work)!r}\n{WORKLOAD}")
    runs = {}
    for attach in ("tracepoint", other):
        run = etracee.run(profile_with(attach), *command, code=None)
        if run.code == 3:
            lacks(f"attach type {attach} does not load here: {run.stderr}")
        assert run.code == 0, run.stderr
        runs[attach] = run
    theirs, ours = (per_process(run) for run in runs.values())
    assert theirs.keys() == ours.keys()
    for number, events in theirs.items():
        assert ours[number] == events, f"the events of process {number} differ"
    counted = [
        {name: (count.seen, count.sent, count.cut) for name, count in run.summary.items()}
        for run in runs.values()
    ]
    assert counted[0] == counted[1]
    assert all(counted[0][name][0] for name in WATCHED), f"a call was not made: {counted[0]}"


@pytest.mark.skipif(OBSTACLE is None, reason="this kernel takes programs at its functions")
def test_a_way_that_the_kernel_refuses_is_said(etracee: Etracee) -> None:
    run = etracee.run(profile_with("fentry"), "true", code=None)
    assert run.code == 3
    assert f"attach: fentry cannot be used: {OBSTACLE}" in run.stderr


def profile_with(attach: str) -> dict[str, object]:
    """Return a profile of all WATCHED calls."""
    return {
        "context": ["pid", "ppid", "tid", "uid", "gid", "comm"],
        "options": {"attach": attach},
        "events": {name: {} for name in WATCHED},
    }


def per_process(run: Run) -> dict[int, list[Event]]:
    """Return the events of each thread, without what differs between two runs.

    Threads are numbered in the order in which they appear.
    """
    numbers: dict[int, int] = {run.events[0]["ppid"]: -1}
    found: dict[int, list[Event]] = {}
    for event in run.events:
        for key in ("pid", "tid", "ppid"):
            event[key] = numbers.setdefault(event[key], len(numbers))
        kept = {k: v for k, v in event.items() if k not in ("timestamp", "human_time")}
        found.setdefault(event["tid"], []).append(kept)
    return found


COMPAT_CALL = """
int main(void)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(257), "b"(1), "c"(2), "d"(3) : "memory");
    return 0;
}
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="32-bit calls of x86 only")
@each_attach
def test_a_32_bit_call_is_not_misread(attach: str, etracee: Etracee, work: Path) -> None:
    """In the 32-bit table number 257 is another call: it must never appear as openat."""
    program = compile_c(work, COMPAT_CALL)
    run = etracee.run(profile_with(attach), program)
    names = [event["filename"] for event in run.of("openat")]
    assert all(re.fullmatch(r"/(etc|lib|usr)[^\0]*", name or "") for name in names), names
    assert [event["type"] for event in run.events][-1] == "exit"
