"""Reload on SIGHUP: nothing lost or doubled, nothing forgotten, nothing left behind."""

from __future__ import annotations

import ctypes
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from kernel_reload import (
    TOOL,
    Reloaded,
    check_load,
    children,
    is_pending,
    lost_of,
    open_file,
    opens_below,
    write,
)
from kernel_run import (
    FENTRY,
    PATIENCE,
    Etracee,
    compile_c,
    each_attach,
    script,
    until,
)

RELOADS = 20
"""How often the rules change under load; one takes about half a second."""

LOAD = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * open PREFIX STOP, or run PREFIX STOP TOOL: numbered names until STOP is there, or whoever started
 * this is gone; says how many.
 */
int main(int argc, char **argv)
{
    char name[256];
    long count = 0;
    pid_t parent = getppid();

    for (; access(argv[3], F_OK) && getppid() == parent; count++) {
        snprintf(name, sizeof(name), "%s%ld", argv[2], count);
        if (!strcmp(argv[1], "open")) {
            open(name, O_RDONLY);
        } else {
            if (!vfork()) {
                execl(count % 4 ? argv[4] : "/no/such/tool", name, (char *)0);
                _exit(1);
            }
            wait(0);
        }
        usleep(500);
    }
    printf("%ld\\n", count);
    return 0;
}
"""


Start = Callable[..., Reloaded]


@pytest.fixture
def start(etracee: Etracee, work: Path) -> Callable[..., Reloaded]:
    def begin(profile: Mapping[str, Any], *command: str | Path, **popen: Any) -> Reloaded:
        path = work / "profile.yaml"
        write(path, profile)
        return Reloaded(etracee.start(str(path), *command, **popen), path)

    return begin


def started(load: Path, *words: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([load, *words], stdout=subprocess.PIPE)


def count_of(load: subprocess.Popen[bytes]) -> int:
    return int(load.communicate(timeout=PATIENCE)[0])


def two_profiles(work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return profiles that watch the same calls with other fields, filters and hooks."""
    exits = {"filter": f"comm = {TOOL}"}
    plain = {
        "events": {"openat": opens_below(work), "execve": {}, "exec": exits, "exit": exits},
    }
    other = {
        "context": ["pid", "ppid", "comm", "euid"],
        "events": {
            "exit": {},
            "exec": {"fields": ["path", "old_tid"]},
            "unlink": {},
            "openat": {"filter": f"filename like {work}/*", "fields": ["filename"]},
            "execve": {"filter": "uid >= 0", "fields": ["argv"]},
        },
    }
    return plain, other


@pytest.mark.parametrize("attach", ["auto", FENTRY])
def test_under_load_every_call_is_reported_once(start: Start, work: Path, attach: str) -> None:
    load, stop = compile_c(work, LOAD), work / "stop"
    tool = shutil.copy("/bin/true", work / TOOL)
    plain, other = two_profiles(work)
    plain["options"] = other["options"] = {"attach": attach}
    reloaded = start(plain)
    reloaded.running.await_attached(work)
    held = reloaded.held()
    reloaded.reload(other)
    reloaded.reload(plain)
    opening = started(load, "open", work / "o-", stop)
    running = started(load, "run", work / "r-", stop, tool)
    resident = []
    for number in range(RELOADS):
        reloaded.reload(plain if number % 2 else other)
        resident.append(reloaded.resident())
    stop.touch()
    opened, ran = count_of(opening), count_of(running)
    until(lambda: reloaded.held() <= held, "no more descriptors than before", reloaded.running)
    grown = resident[-1] - resident[RELOADS // 2 - 1]
    run = reloaded.end()
    assert run.code == 0, run.stderr
    assert min(opened, ran) > 100 * RELOADS, f"the load made {opened} opens and {ran} runs"
    check_load(run, work, opened, ran)
    lost = lost_of(run).total()
    assert lost <= (opened + ran) // 1000, f"{lost} lost of {opened + ran}:\n{run.stderr}"
    for name, counts in run.summary.items():
        assert counts.seen == counts.filtered + counts.sent + counts.lost, name
    assert grown < 16_000, f"{grown} kB more in the second half: {resident}"
    own = [e for e in run.events if reloaded.pid in (e["pid"], e["ppid"])]
    assert not own, f"etracee reports what it does itself: {own[:3]}"


@each_attach
def test_a_command_is_followed_on(start: Start, work: Path, attach: str) -> None:
    load, stop = compile_c(work, LOAD), work / "stop"
    tool = shutil.copy("/bin/true", work / TOOL)
    plain, other = two_profiles(work)
    plain["options"] = other["options"] = {"attach": attach}
    reloaded = start(plain, load, "run", work / "r-", stop, tool)
    reloaded.running.await_output(b"/r-0")
    for number in range(4):
        reloaded.reload(plain if number % 2 else other)
    stop.touch()
    run = reloaded.wait()
    assert run.code == 0, run.stderr
    check_load(run, work, 0, int(run.stdout))
    assert lost_of(run).total() <= int(run.stdout) // 1000, run.stderr
    assert len({event["pid"] for event in run.of("exit")}) == len(run.of("exit"))


def test_a_call_may_last_from_before_a_reload_to_after_it(start: Start, work: Path) -> None:
    """An execve waits for another thread to end, which a tracer holds up."""
    text = (
        "threading.Thread(target=signal.pause).start()\n"
        "thread = threading.enumerate()[1].native_id\n"
        "print(thread, flush=True)\n"
        "sys.stdin.readline()\n"
        f"os.execv('/bin/true', [{str(work / 'slow')!r}])"
    )
    reloaded = start({"events": {"execve": {}, "openat": opens_below(work)}})
    reloaded.running.await_attached(work)
    slow = subprocess.Popen(script(work, text), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert slow.stdin is not None and slow.stdout is not None
    thread = int(slow.stdout.readline())
    assert LIBC.ptrace(SEIZE, thread, None, TRACE_EXIT) == 0, os.strerror(ctypes.get_errno())
    slow.stdin.write(b"\n")
    slow.stdin.flush()
    os.waitpid(thread, WALL)
    for fields in (["argv"], ["filename"], ["argv", "filename"], ["argv"]):
        events = {"execve": {"fields": fields}, "openat": opens_below(work)}
        reloaded.reload({"events": events})
    assert LIBC.ptrace(CONTINUE, thread, None, None) == 0
    os.waitpid(thread, WALL)
    slow.communicate(timeout=PATIENCE)
    run = reloaded.end()
    found = [event for event in run.of("execve") if event["pid"] == slow.pid and event["ret"] == 0]
    assert [event["argv"] for event in found if event["argv"] == [str(work / "slow")]] == [
        [str(work / "slow")]
    ]
    assert found[-1]["argv"] == [str(work / "slow")]


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
SEIZE, CONTINUE, TRACE_EXIT, WALL = 0x4206, 7, 0x40, 0x40000000
"""PTRACE_SEIZE, PTRACE_CONT, PTRACE_O_TRACEEXIT and __WALL of ptrace(2) and wait(2)."""


@pytest.mark.parametrize("attach", ["auto", FENTRY])
def test_rules_and_hooks_come_and_go(start: Start, work: Path, attach: str) -> None:
    rules, secret = work / "rules.yaml", work / "secret"
    secret.touch()
    quiet = {"events": {"openat": opens_below(work)}, "options": {"attach": attach}}
    reloaded = start(quiet)
    reloaded.running.await_attached(work)
    held = reloaded.held()
    secret.chmod(0o600)
    rule = {
        "id": "changed",
        "title": "Changed",
        "events": ["$chmod"],
        "condition": f"filename = {secret}",
    }
    rules.write_text(json.dumps({"rules": [rule]}))
    reloaded.reload({**quiet, "rules": [str(rules)]})
    secret.chmod(0o640)
    reloaded.running.await_output(b'"rule":"changed"')
    assert reloaded.held() > held, "hooks for chmod"
    reloaded.reload(quiet)
    secret.chmod(0o600)
    reloaded.running.await_attached(work)
    until(lambda: reloaded.held() <= held, "the hooks of chmod to be gone", reloaded.running)
    run = reloaded.end()
    alerts = [item for item in run.items if item["type"] == "alert"]
    assert [alert["rule"] for alert in alerts] == ["changed"]
    assert [event["mode"] for event in alerts[0]["events"]] == ["0640"]
    assert "alerts of changed: 1" in run.stderr, "a rule that has gone keeps its place there"
    assert run.summary["openat"].lost == 0


def test_windows_outlast_a_reload(start: Start, work: Path) -> None:
    """Two opens before, one after: the third of a threshold of three."""
    rules = work / "rules.yaml"
    rule = {
        "id": "often",
        "title": "Often",
        "events": ["openat"],
        "condition": f"filename = {work}/counted",
        "threshold": {"count": 3, "within": "60s", "by": ["uid"]},
    }
    rules.write_text(json.dumps({"rules": [rule]}))
    profile = {"events": {"openat": opens_below(work)}, "rules": [str(rules)]}
    reloaded = start(profile)
    reloaded.running.await_attached(work)
    for _ in range(2):
        open_file(work / "counted")
    new = {**rule, "id": "new", "condition": f"filename = {work}/new"}
    rules.write_text(json.dumps({"rules": [new, rule]}))
    reloaded.reload()
    open_file(work / "counted")
    reloaded.running.await_output(b'"rule":"often"')
    run = reloaded.end()
    alerts = [item for item in run.items if item["type"] == "alert"]
    assert [(alert["rule"], alert["count"]) for alert in alerts] == [("often", 3)]


def test_a_broken_file_leaves_the_old_rules_running(start: Start, work: Path) -> None:
    reloaded = start({"events": {"openat": opens_below(work)}})
    reloaded.running.await_attached(work)
    held = reloaded.held()
    reloaded.profile.write_text("name: test\nevents:\n  opennat: {}\n")
    reloaded.ask()
    reloaded.await_reloads(1, "etracee: reload failed, the rules of before stay")
    assert "/profile.yaml:3:3: no event is named 'opennat'" in reloaded.listen()
    assert "did you mean 'openat'?" in reloaded.listen()
    reloaded.running.await_attached(work)
    assert reloaded.held() == held
    reloaded.reload({"events": {"openat": opens_below(work)}})
    reloaded.running.await_attached(work)
    assert reloaded.end().code == 0


def test_what_cannot_change_is_said(start: Start, work: Path) -> None:
    watched = {"events": {"openat": opens_below(work)}}
    reloaded = start({**watched, "options": {"ring_buffer": "1MiB", "attach": "tracepoint"}})
    reloaded.running.await_attached(work)
    reloaded.reload({**watched, "options": {"ring_buffer": "2MiB", "attach": "raw_tracepoint"}})
    reloaded.running.await_attached(work)
    run = reloaded.end()
    assert "note: ring_buffer stays 1048576 bytes until a restart" in run.stderr
    assert "note: attach: raw_tracepoint counts after a restart" in run.stderr


def test_what_is_asked_for_meanwhile_is_done_once(start: Start, work: Path) -> None:
    """However often: a reload that began before the last change is followed by one more."""
    reloaded = start({"events": {"openat": opens_below(work)}})
    reloaded.running.await_attached(work)
    reloaded.ask()
    until(lambda: children(reloaded.pid) != [], "a compiler", reloaded.running)
    write(reloaded.profile, {"events": {"openat": opens_below(work), "exit": {}}})
    for _ in range(5):
        reloaded.ask()
        until(lambda: not is_pending(reloaded.pid, signal.SIGHUP), "SIGHUP to be taken")
    reloaded.await_reloads(2)
    run = reloaded.end()
    assert run.stderr.count("etracee: reload") == 2
    assert "2 events, 0 rules" in run.stderr


def test_an_early_hang_up_asks_for_a_reload(start: Start, work: Path) -> None:
    """It waits until the first program is there, as a service manager may be too fast."""
    reloaded = start({"events": {"openat": opens_below(work)}})
    until(lambda: children(reloaded.pid) != [], "a compiler", reloaded.running)
    reloaded.ask()
    reloaded.await_reloads(1, "etracee: reloaded profile")
    reloaded.running.await_attached(work)
    assert reloaded.end().code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_reload_holds_up_no_end(start: Start, work: Path, number: signal.Signals) -> None:
    temporary = work / "tmp"
    temporary.mkdir()
    profile = {"events": {"openat": opens_below(work)}}
    reloaded = start(profile, env={**os.environ, "TMPDIR": str(temporary)})
    reloaded.running.await_attached(work)
    reloaded.ask()
    until(lambda: children(reloaded.pid) != [], "a compiler", reloaded.running)
    (compiler,) = children(reloaded.pid)
    os.kill(compiler, signal.SIGSTOP)  # it must not be done before etracee hears of the end
    run = reloaded.running.end(number)
    assert run.code == 0, run.stderr
    assert "reload" not in run.stderr
    assert not Path(f"/proc/{compiler}").exists()
    assert list(temporary.iterdir()) == []


def test_the_command_is_no_part_of_it(start: Start, work: Path) -> None:
    """A command meets SIGHUP as it would without etracee: neither blocked nor ignored."""
    run = start({"events": {"exit": {}}}, "grep", "^Sig[BI]", "/proc/self/status").wait()
    masks = re.findall(rb"Sig(?:Blk|Ign):\s+([0-9a-f]+)", run.stdout)
    assert len(masks) == 2
    assert not any(int(mask, 16) >> (signal.SIGHUP - 1) & 1 for mask in masks)


@pytest.mark.parametrize("is_ignored", [False, True])
def test_a_terminal_that_goes_takes_etracee_along(work: Path, is_ignored: bool) -> None:
    """Unless SIGHUP was ignored from the start, as under nohup: then it is a reload."""
    profile, output = work / "profile.yaml", work / "output"
    write(profile, {"events": {"openat": opens_below(work)}})
    words = [sys.executable, "-m", "etracee", "run", "-p", str(profile), "-o", str(output)]
    said = os.open(work / "said", os.O_WRONLY | os.O_CREAT)
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(said, 2)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
        os.execv(words[0], words)
    try:
        until(lambda: was_opened(work, output), "an event")
        os.close(terminal)
        if is_ignored:
            until(lambda: "reloaded profile" in (work / "said").read_text(), "a reload")
            os.kill(pid, signal.SIGTERM)
        until(
            lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None,
            "the end",
        )
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(said)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "openat" in (work / "said").read_text(), "the summary"


def was_opened(work: Path, output: Path) -> bool:
    open_file(work / "opened")
    return output.exists() and b"opened" in output.read_bytes()
