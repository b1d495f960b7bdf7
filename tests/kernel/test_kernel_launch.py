"""What COMMAND's process does before it is COMMAND: execve(2) and nothing else is seen of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kernel_run import CHECKOUT, PATIENCE, Etracee, Profile, needs_tool
from kernel_strace import OPTIONS, Call, read_calls

PROCESS_CALLS = ("execve", "exit_group", "rt_sigaction", "rt_sigprocmask", "set_robust_list")
"""With those below what a Python process does around fork(2), and what a program does too."""
OTHER_CALLS = ("read", "write", "close", "dup2", "futex", "getrandom", "gettid", "mmap", "munmap")
CALLS = (*PROCESS_CALLS, *OTHER_CALLS, "brk", "madvise", "newfstatat", "openat", "pipe2", "select")


def watch(attach: str) -> Profile:
    events = {name: {"fields": ["ret"]} for name in CALLS}
    events["read"] = {"fields": ["ret", "duration_ns"]}
    return {"events": events, "options": {"attach": attach}}


def strace(directory: Path, *command: str | Path) -> list[Call]:
    """Run a command, which may fail, and return all calls that strace has seen."""
    output = directory / "strace.out"
    words = [needs_tool("strace"), *OPTIONS, "-o", output, *command]
    subprocess.run(words, check=False, timeout=PATIENCE, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    return read_calls(output)


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_begins_with_execve_and_sees_what_strace_does(
    attach: str, etracee: Etracee, tmp_path: Path
) -> None:
    wanted = [call.name for call in strace(tmp_path, "true") if call.name in CALLS]
    assert wanted[0] == "execve"
    assert len(wanted) > 15
    for _ in range(2):
        run = etracee.run(watch(attach), "true")
        assert [item["type"] for item in run.items] == wanted
        assert {event["comm"] for event in run.events[1:]} == {"true"}


def test_counts_nothing_of_the_process_before(etracee: Etracee, tmp_path: Path) -> None:
    calls = [call.name for call in strace(tmp_path, "true")]
    counted = {"mode": "count", "count": {"by": ["comm"]}}
    watched = ("read", "close", "set_robust_list", "rt_sigaction")
    run = etracee.run({"events": dict.fromkeys(watched, counted)}, "true")
    assert {item["type"] for item in run.items} == {"count"}
    found = {(item["event"], item["key"]["comm"]): item["count"] for item in run.counts}
    assert found == {(name, "true"): calls.count(name) for name in watched if name in calls}


START = """
import os, sys
from etracee.command import Command
command = Command(sys.argv[1:])
command.release(follow=os.getppid, forget=os.getpgrp)
os.waitpid(command.pid, 0)
"""
"""Calls that Python does not make otherwise stand for what begins and ends the following."""


@pytest.mark.parametrize(
    ("command", "wanted"),
    [("true", ["execve"]), ("/etc/hostname", ["execve", "exit_group"]), ("absent", ["exit_group"])],
)
def test_makes_no_call_but_execve_while_followed(
    command: str, wanted: list[str], tmp_path: Path
) -> None:
    """Also where it fails: strace sees all of the new process, from its fork on."""
    calls = strace(tmp_path, sys.executable, "-c", START, command)
    names = [call.name for call in calls]
    follow = names.index("getppid")
    child = next(call.tid for call in calls if call.tid != calls[0].tid)
    assert [call.name for call in calls[follow:] if call.tid == child][: len(wanted)] == wanted
    assert any(call.tid == child and call.name == "read" for call in calls[:follow])
    if "exit_group" in wanted:
        ended = next(
            n for n, call in enumerate(calls) if (call.tid, call.name) == (child, "exit_group")
        )
        assert names.index("getpgrp") < ended, "it ended before it was forgotten"
    else:
        assert "getpgrp" not in names
