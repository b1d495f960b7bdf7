"""`actions: [kill]` ends the process that a rule names, and no other; only where it is allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_run import Etracee, Run, script

QUIET = {"events": {"exit": {}}}
CONDITIONS = {
    "killed by the kernel": "filename = {name}",
    "killed": "filename matches '{name}$'",
}
"""What the kernel tells exactly, and what Python has to decide."""


def write_rule(directory: Path, condition: str, events: str = "$open") -> Path:
    rule = {"id": "ender", "title": "Ends it", "events": [events], "condition": condition}
    path = directory / "rules.yaml"
    path.write_text(json.dumps({"rules": [{**rule, "actions": ["alert", "kill"]}]}))
    return path


def outcomes(run: Run) -> list[object]:
    return [item.get("actions") for item in run.items if item["type"] == "alert"]


@pytest.mark.parametrize("outcome", CONDITIONS)
def test_ends_the_process(etracee: Etracee, work: Path, outcome: str) -> None:
    name = work / "forbidden"
    name.touch()
    rule = write_rule(work, CONDITIONS[outcome].format(name=name))
    text = f"""
bystander = os.fork()
if bystander == 0: signal.sigwait([signal.SIGUSR1]); os._exit(11)
victim = os.fork()
if victim == 0:
    libc.openat(-100, {bytes(name)!r}, 0)
    signal.pause()
_, status = os.waitpid(victim, 0)
os.kill(bystander, signal.SIGUSR1)
_, other = os.waitpid(bystander, 0)
print(os.waitstatus_to_exitcode(status), os.waitstatus_to_exitcode(other))
"""
    text = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])" + text
    options = ["--rules", str(rule), "--allow-actions"]
    run = etracee.run(QUIET, *script(work, text), options=options)
    assert run.stdout.split() == [b"-9", b"11"]
    assert outcomes(run) == [{"kill": outcome}]
    assert f"rule ender: kill of process {_pid(run)}: {outcome}\n" in run.stderr


def _pid(run: Run) -> int:
    alert = next(item for item in run.items if item["type"] == "alert")
    return int(alert["events"][0]["pid"])


def test_a_program_is_ended_before_it_runs(etracee: Etracee, work: Path) -> None:
    """The call has succeeded then: the new image is in place, and has not begun."""
    tool, trace = work / "tool", work / "trace"
    tool.write_text(f"#!/bin/sh\n: > {trace}\n")
    tool.chmod(0o755)
    rule = write_rule(work, f"filename = {tool}", "execve")
    text = f"""
child = os.posix_spawn({str(tool)!r}, ["tool"], {{}})
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    options = ["--rules", str(rule), "--allow-actions"]
    run = etracee.run(QUIET, *script(work, text), options=options)
    assert run.stdout.split() == [b"-9"]
    assert not trace.exists()
    assert outcomes(run) == [{"kill": "killed by the kernel"}]


def test_only_alerts_unless_it_is_allowed(etracee: Etracee, work: Path) -> None:
    name = work / "forbidden"
    rule = write_rule(work, f"filename = {name}")
    text = f"libc.openat(-100, {bytes(name)!r}, 0)\nprint('alive')"
    run = etracee.run(QUIET, *script(work, text), options=["--rules", str(rule)])
    assert run.stdout.split() == [b"alive"]
    assert outcomes(run) == [None]
    assert "ender only alerts: its action `kill` is not allowed (--allow-actions" in run.stderr


@pytest.mark.parametrize("outcome", CONDITIONS)
def test_never_what_started_etracee(etracee: Etracee, work: Path, outcome: str) -> None:
    """The test itself, an ancestor of the monitor, opens the file: it is still there to say so."""
    name = work / "forbidden"
    rule = write_rule(work, CONDITIONS[outcome].format(name=name))
    options = ["--rules", str(rule), "--allow-actions", "--pid", str(os.getpid())]
    running = etracee.start({"events": {"openat": {}}}, options=options)
    running.await_attached(work)
    name.touch()
    running.await_output(b'"alert"')
    run = running.end()
    assert outcomes(run)[0] == {"kill": "refused: it is pid 1, etracee, or what started it"}


def test_a_number_that_is_another_process_by_now(etracee: Etracee, work: Path) -> None:
    """The process has ended before Python looks, and another has its number: that one lives."""
    name = work / "forbidden"
    rule = write_rule(work, CONDITIONS["killed"].format(name=name))
    text = f"""
import time
def tick(): return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
os.kill(os.getppid(), signal.SIGSTOP)
victim = os.fork()
if victim == 0:
    libc.openat(-100, {bytes(name)!r}, 0)
    os._exit(0)
os.waitpid(victim, 0)
ended = tick()
while tick() == ended: pass  # /proc tells starts apart by ticks
open("/proc/sys/kernel/ns_last_pid", "w").write(str(victim - 1))
heir = os.fork()
if heir == 0: signal.pause()
print("same" if heir == victim else "other", flush=True)
os.kill(os.getppid(), signal.SIGCONT)
signal.sigtimedwait([signal.SIGCHLD], 1)
print(os.waitpid(heir, os.WNOHANG)[0], flush=True)
os.kill(heir, 9)
"""
    text = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])" + text
    options = ["--rules", str(rule), "--allow-actions"]
    run = etracee.run(QUIET, *script(work, text), options=options)
    who, ended = run.stdout.split()
    assert who == b"same", "the kernel gave the number away, the test has shown nothing"
    assert ended == b"0"
    assert outcomes(run) == [{"kill": "not killed: it has ended, and the number is another's"}]


def test_nobody_whom_a_filter_spares(etracee: Etracee, work: Path) -> None:
    """Python has to finish the filter, so the kernel must not act before."""
    name = work / "forbidden"
    name.touch()
    rule = write_rule(work, f"filename = {name}")
    profile = {**QUIET, "filter": "not filename matches 'forbidd[e]n$'", "events": {"openat": {}}}
    text = f"libc.openat(-100, {bytes(name)!r}, 0)\nprint('alive')"
    options = ["--rules", str(rule), "--allow-actions"]
    run = etracee.run(profile, *script(work, text), options=options)
    assert run.stdout.split() == [b"alive"]
    assert outcomes(run) == []


def test_refused_where_numbers_mean_others(etracee: Etracee, work: Path) -> None:
    """In a PID namespace of its own etracee cannot tell whom the kernel means."""
    name = work / "forbidden"
    rule = write_rule(work, f"filename = {name}")
    words = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "etracee", "run"]
    words += ["-p", etracee.write_profile(QUIET), "--rules", str(rule), "--allow-actions"]
    done = subprocess.run([*words, "--", "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "--allow-actions: this PID namespace numbers processes otherwise" in done.stderr
