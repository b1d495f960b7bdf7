"""`-- COMMAND`: it and its descendants and nobody else; how a run ends, and with which code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kernel_run import (
    PATIENCE,
    PYTHON,
    Etracee,
    Profile,
    below,
    exact,
    names,
    script,
    unique_comm,
    until,
)

OPENS: Profile = {"events": {"openat": {}}}
PROGRAMS: Profile = {"events": {"execve": {}, "openat": {}, "exit": {}}}


def test_starts_with_the_execve_and_ends_with_the_exit(etracee: Etracee) -> None:
    run = etracee.run("minimal", "cat", "/etc/hostname")
    first, *_, last = run.events
    assert (first["type"], first["ret"], first["argv"]) == ("execve", 0, ["cat", "/etc/hostname"])
    assert first["filename"].endswith("/cat")
    assert first["pid"] == first["tid"] == last["pid"]
    assert (last["type"], last["exit_code"], last["comm"]) == ("exit", 0, "cat")
    libraries = [event["filename"] for event in run.of("openat")]
    assert libraries[0] == "/etc/ld.so.cache", "the loader's first open comes first"
    assert libraries[-1] == "/etc/hostname"
    assert {event["pid"] for event in run.events} == {first["pid"]}


DESCENDANTS = """
def leave(name):
    libc.openat(-100, f"{work}/{name}".encode(), os.O_CREAT | os.O_WRONLY, 0o600)
leave("leader")
threads = [threading.Thread(target=leave, args=(f"thread-{number}",)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.posix_spawn("/bin/sh", ["sh", "-c", f": >{work}/spawned"], {})  # vfork inside
os.wait()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        # an orphan and a daemon: it works on when COMMAND and its own parent are gone
        for fd in (0, 1, 2, holder): os.close(fd)
        os.read(kept, 1)
        leave("daemon")
        if os.fork() == 0:
            leave("daemon-child")
        os._exit(0)
    os._exit(0)
os.wait()
leave("end")
"""


def test_follows_threads_vforks_and_daemons_to_the_end(etracee: Etracee, work: Path) -> None:
    # the daemon reads a pipe whose other end COMMAND holds: it goes on when COMMAND has ended
    text = f"work = {str(work)!r}\nkept, holder = os.pipe()\n{DESCENDANTS}"
    run = etracee.run(PROGRAMS, *script(work, text))
    left = {Path(event["filename"]).name for event in below(run.of("openat"), work)}
    wanted = {"leader", "spawned", "daemon", "daemon-child", "end"}
    assert left == {"workload.py", *wanted, *(f"thread-{number}" for number in range(4))}
    pids = {event["pid"] for event in run.events}
    ended = [event["pid"] for event in run.of("exit")]
    assert len(ended) == len({*ended}) == 5, "one exit of each of the five processes"
    assert pids == {*ended}, "processes of which no exit was seen"
    of_daemon = [e for e in run.of("openat") if e["filename"].endswith("/daemon")]
    command = run.events[0]["pid"]
    times = {e["pid"]: int(e["timestamp"]) for e in run.of("exit")}
    assert int(of_daemon[0]["timestamp"]) > times[command], "the daemon outlived COMMAND"


def test_sees_nothing_of_other_processes(etracee: Etracee, work: Path) -> None:
    noise = "while :; do cat /etc/passwd; done >/dev/null"
    with subprocess.Popen(["sh", "-c", noise], start_new_session=True) as neighbour:
        try:
            loop = "for n in 1 2 3 4 5; do cat /etc/hostname; done"
            run = etracee.run(PROGRAMS, "sh", "-c", loop)
        finally:
            os.killpg(neighbour.pid, signal.SIGKILL)
    command = run.events[0]["pid"]
    strangers = [e for e in run.events if command not in (e["pid"], e["ppid"])]
    assert not strangers, f"events of other processes: {strangers[:3]}"
    assert "/etc/passwd" not in {event.get("filename") for event in run.events}
    assert len(run.of("execve")) == len(run.of("exit")) == 6
    seen = sum(count.seen for count in run.summary.values())
    assert seen == len(run.events), "calls of other processes were counted"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 42"], 42),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["no-such-program"], 127),
        (["/etc/hostname"], 126),
    ],
)
def test_ends_as_the_command_does(command: list[str], code: int, etracee: Etracee) -> None:
    run = etracee.run("minimal", *command, code=code)
    assert command[0] in run.stderr.splitlines()[-1], "the summary ends with COMMAND's status"
    seen = [event["type"] for event in run.events]
    assert seen[-1:] == {126: ["execve"], 127: []}.get(code, ["exit"]), "etracee's own end is seen"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-p", "no-such-profile"], "no-such-profile"),
        (["-p", "minimal", "--uid", "somebody"], "somebody"),
        (["-p", "minimal", "--event", "opennat"], "openat"),
        (["-p", "minimal", "--duration", "soon"], "soon"),
        (["-p", "minimal", "-o", "/no/such/directory/file"], "/no/such/directory/file"),
        (["-p", "minimal", "--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_input_is_code_2(options: list[str], said: str, host: None, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    run = subprocess.run(
        [sys.executable, "-m", "etracee", "run", *options, "--", "touch", ran],
        check=False, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert run.returncode == 2, f"exit code {run.returncode}; stderr:\n{run.stderr}"
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert not ran.exists(), "COMMAND was started all the same"


def test_output_file_leaves_stdout_to_the_command(etracee: Etracee) -> None:
    run = etracee.run("minimal", "sh", "-c", "echo to-stdout; echo to-stderr >&2")
    assert run.stdout == b"to-stdout\n"
    assert "to-stderr\n" in run.stderr
    assert run.events


def test_without_output_file_stdout_is_pure(etracee: Etracee) -> None:
    command = ("sh", "-c", "echo to-stdout; cat /etc/hostname; echo to-stderr >&2")
    run = etracee.run("minimal", *command, to_stdout=True)
    assert run.events[0]["argv"] == [*command]
    assert b"to-stdout" not in b"".join(run.stdout.splitlines()[1:])
    assert "to-stdout\n" in run.stderr
    assert "to-stderr\n" in run.stderr


def test_command_inherits_no_descriptor_and_no_ignored_signal(etracee: Etracee) -> None:
    text = "ls -l /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status"
    run = etracee.run(OPENS, "sh", "-c", text)
    plain = subprocess.run(
        ["sh", "-c", text], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    found, wanted = run.stdout.decode().splitlines(), plain.stdout.decode().splitlines()
    assert found[-2:] == wanted[-2:], "ignored and blocked signals"
    assert len(found) == len(wanted), f"descriptors are inherited:\n{run.stdout.decode()}"


def test_duration_ends_the_run(etracee: Etracee) -> None:
    start = time.monotonic()
    run = etracee.run(OPENS, options=["--duration", "500ms", "--comm", "nobody-has-this"])
    assert 0.5 <= time.monotonic() - start < PATIENCE / 2
    assert run.events == []


def test_count_ends_the_run(etracee: Etracee, work: Path) -> None:
    command = script(work, f"while True: libc.openat(-100, {bytes(work)!r}, 0)")
    run = etracee.run(OPENS, *command, code=None, options=["--count", "25"])
    assert len(run.items) == 25


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_what_has_happened(
    number: signal.Signals, etracee: Etracee, work: Path
) -> None:
    """All that was done before the signal is delivered, and the exit code is 0."""
    name = unique_comm()
    running = etracee.start(OPENS, options=["--comm", name])
    text = f"""
open("/proc/self/comm", "w").write({name!r})
while not os.path.exists({str(work / "go")!r}):
    libc.openat(-100, {bytes(work / "wait")!r}, 0)
    signal.sigtimedwait([], 0.01)
for turn in range(3000):
    libc.openat(-100, {bytes(work)!r} + b"/drained-%d" % turn, 0)
os.kill({running.process.pid}, {int(number)})
"""
    with subprocess.Popen(script(work, text)) as workload:
        running.await_output(os.fsencode(work / "wait"))
        (work / "go").touch()
        workload.wait(PATIENCE)
    run = running.wait()
    assert run.code == 0, f"exit code {run.code}; stderr:\n{run.stderr}"
    assert "Traceback" not in run.stderr
    assert run.summary["openat"].lost == 0
    drained = [name for name in names(run.events) if b"/drained-" in (name or b"")]
    assert drained == [os.fsencode(work / f"drained-{turn}") for turn in range(3000)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_too(
    number: signal.Signals, etracee: Etracee, work: Path
) -> None:
    text = f"signal.signal(2, signal.SIG_DFL)\nopen({str(work / 'x')!r}, 'w')\nsignal.pause()"
    running = etracee.start(OPENS, *script(work, text))
    running.await_output(os.fsencode(work / "x"))
    command = json.loads(running.read_output().splitlines()[0])["pid"]
    run = running.end(number)
    assert run.code == 0, f"exit code {run.code}; stderr:\n{run.stderr}"
    assert "Traceback" not in run.stderr
    until(lambda: not Path(f"/proc/{command}").exists(), "the end of COMMAND")
    assert run.summary["openat"].sent == len(run.events)


def test_a_second_signal_ends_at_once(etracee: Etracee, work: Path) -> None:
    text = f"signal.signal(2, signal.SIG_IGN)\nopen({str(work / 'x')!r}, 'w')\nsignal.pause()"
    running = etracee.start(OPENS, *script(work, text))
    running.await_output(os.fsencode(work / "x"))
    command = json.loads(running.read_output().splitlines()[0])["pid"]
    try:
        for _ in range(2):
            running.process.send_signal(signal.SIGINT)
        # the two may merge into one, which ends the run in order; COMMAND may be left by the second
        assert running.process.wait(PATIENCE) in (0, -signal.SIGINT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(command, signal.SIGKILL)
    assert b"Traceback" not in running.process.communicate(timeout=PATIENCE)[1]


def test_a_reader_that_goes_away_ends_the_run_quietly(etracee: Etracee) -> None:
    busy = "while :; do cat /etc/hostname; done"
    reader, writer = os.pipe()
    running = etracee.start(OPENS, "sh", "-c", busy, to_stdout=True, stdout=writer)
    os.close(writer)
    with subprocess.Popen(["head", "-1"], stdin=reader, stdout=subprocess.PIPE) as head:
        os.close(reader)
        line = head.communicate(timeout=PATIENCE)[0]
    run = running.wait()
    assert json.loads(line)["type"] == "openat"
    assert "Traceback" not in run.stderr
    assert "roken pipe" not in run.stderr
    assert run.code >= 0, f"etracee was killed by signal {-run.code}"


def test_delivery_takes_less_than_100_ms(etracee: Etracee, work: Path) -> None:
    """From the event's own time to the arrival of its line: the median of 40 single events."""
    go_reader, go_writer = os.pipe()
    text = f"""
while os.read({go_reader}, 1):
    libc.openat(-100, {bytes(work / "tick")!r}, 0)
"""
    running = etracee.start(OPENS, *script(work, text), to_stdout=True, pass_fds=[go_reader])
    os.close(go_reader)
    assert running.process.stdout is not None
    delays = []
    for _ in range(40):
        os.write(go_writer, b"!")
        while True:
            event = json.loads(running.process.stdout.readline())
            if exact(event, "filename") == os.fsencode(work / "tick"):
                break
        delays.append(time.time_ns() - int(event["timestamp"]))
    os.close(go_writer)
    assert running.wait().code == 0
    median = statistics.median(delays) / 1e6
    assert min(delays) >= -1e6, "an event came before it happened: its time is wrong"
    assert median < 100, f"the median delay is {median:.0f} ms"


def test_python_and_shell_workloads_need_no_shim(etracee: Etracee) -> None:
    """The command's environment, arguments and directory are those it was given."""
    run = etracee.run(
        OPENS, *PYTHON, "-c", "import os, sys; print(os.getcwd(), os.environ['X'], sys.argv[1:])",
        "--option", "", "ä", env={**os.environ, "X": "a b"},
    )  # fmt: skip
    assert run.stdout.decode() == f"{etracee.directory} a b ['--option', '', 'ä']\n"
