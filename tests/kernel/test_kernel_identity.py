"""Who made a call, by what only the kernel knows: against /proc of the process itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from kernel_run import PYTHON, Etracee, Event, Run, lacks, script

FIELDS = [
    *("exe", "cwd", "parent.exe", "parent.comm"),
    *("sid", "tty", "loginuid", "cap_effective"),
    *("user_ns", "pid_ns", "mnt_ns", "net_ns"),
]
PROFILE: dict[str, Any] = {
    "context": ["pid", *FIELDS],
    "events": {"openat": {"fields": ["filename"]}},
}
TELL = """
import json
def proc(name, pid="self"):
    return open(f"/proc/{pid}/{name}", errors="surrogateescape").read()
def link(name, pid="self"):
    return os.readlink(f"/proc/{pid}/{name}").removesuffix(" (deleted)")
def tell(mark):
    libc.openat(-100, mark.encode(), os.O_RDONLY)
    told = {"mark": mark, "exe": link("exe"), "cwd": link("cwd")}
    # field 6 and 7 behind the command's name, which may hold anything: proc(5)
    after = proc("stat").rpartition(")")[2].split()
    told |= {"sid": int(after[3]), "tty_nr": int(after[4])}
    login = int(proc("loginuid"))
    told["loginuid"] = None if login == 2**32 - 1 else login
    status = dict(line.split(":\\t", 1) for line in proc("status").splitlines())
    told["caps"] = int(status["CapEff"], 16)
    parent = int(status["PPid"])
    if os.access(f"/proc/{parent}/exe", os.R_OK):
        told["parent"] = {"comm": proc("comm", parent)[:-1], "exe": link("exe", parent)}
    for name in ("user", "pid", "mnt", "net"):
        told[name + "_ns"] = int(link(f"ns/{name}").partition("[")[2][:-1])
    print(json.dumps(told), flush=True)
def as_child(act):
    if os.fork() == 0:
        try:
            act()
        finally:
            os._exit(0)
    os.wait()
"""


def compare(run: Run, *marks: str) -> dict[str, Event]:
    """Check that the events of all marks are as the workload says, and return them."""
    told = {line["mark"]: line for line in map(json.loads, run.stdout.splitlines())}
    assert set(told) == set(marks)
    found = {event["filename"]: event for event in run.events if event["filename"] in told}
    for mark, wanted in told.items():
        event = found[mark]
        assert bits_of(event["cap_effective"]) == wanted.pop("caps"), mark
        assert (event["tty"] is None) == (wanted.pop("tty_nr") == 0), mark
        assert {name: event[name] for name in wanted if name != "mark"} == {
            name: value for name, value in wanted.items() if name != "mark"
        }, mark
    return found


def bits_of(shown: str) -> int:
    """Return the set that is printed: names of Linux, in the order of their numbers."""
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        lacks(f"{header} is not installed")
    words = [line.split() for line in header.read_text().splitlines()]
    numbers = {
        word[1]: int(word[2])
        for word in words
        if len(word) > 2 and word[1].startswith("CAP_") and word[2].isdigit()
    }
    if shown == "CAP_ALL":
        return sum(1 << number for number in numbers.values())
    return sum(1 << numbers[name] for name in shown.split("|") if name != "0")


def test_as_proc_says(etracee: Etracee, work: Path) -> None:
    """In a directory of odd bytes, of which the kernel has the exact ones."""
    text = f"""{TELL}
tell("/plain")
os.makedirs({str(work / "a b")!r}); os.chdir({str(work / "a b")!r})
tell("/moved")
os.rmdir({str(work / "a b")!r})
tell("/removed")
def as_thread():
    tell("/thread")
thread = threading.Thread(target=as_thread); thread.start(); thread.join()
def session():
    os.setsid()
    tell("/session")
as_child(session)
def nobody():
    os.setresuid(65534, 65534, 65534)
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: else /proc/self is root's
    tell("/nobody")
as_child(nobody)
def few():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(1 << 21 | 1, 1 << 21 | 1, 0, 1 << 6, 1 << 6, 0)
    assert libc.capset(header, data) == 0
    tell("/few")
as_child(few)
"""
    run = etracee.run(PROFILE, *script(work, text))
    marks = ("/plain", "/moved", "/removed", "/thread", "/session", "/nobody", "/few")
    found = compare(run, *marks)
    assert found["/session"]["sid"] == found["/session"]["pid"] != found["/plain"]["sid"]
    assert found["/nobody"]["cap_effective"] == "0"
    assert found["/few"]["cap_effective"] == "CAP_CHOWN|CAP_SYS_ADMIN|CAP_PERFMON"


def test_namespaces(etracee: Etracee, work: Path) -> None:
    """unshare(CLONE_NEWPID) moves the children alone."""
    text = f"""{TELL}
def unshared():
    assert libc.unshare(0x20000000 | 0x00020000 | 0x40000000) == 0
    assert libc.mount(None, b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE
    tell("/parent")
    def child():
        assert libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0
        tell("/child")
    as_child(child)
def user():
    if libc.unshare(0x10000000):
        print(json.dumps({{"mark": "not permitted"}}), flush=True)
        return
    tell("/user")
tell("/outside")
as_child(unshared)
as_child(user)
"""
    run = etracee.run(PROFILE, *script(work, text))
    if b"not permitted" in run.stdout:
        lacks("user namespaces are not allowed")
    told = [json.loads(line) for line in run.stdout.splitlines()]
    events = {event["filename"]: event for event in run.events}
    for line in told:
        names = [name for name in line if name.endswith("_ns")]
        assert len(names) == 4
        event = events[line["mark"]]
        assert {name: event[name] for name in names} == {name: line[name] for name in names}
    outside, parent, child = (events[mark] for mark in ("/outside", "/parent", "/child"))
    assert parent["pid_ns"] == outside["pid_ns"] != child["pid_ns"]
    for name in ("mnt_ns", "net_ns"):
        assert outside[name] != parent[name] == child[name]
    assert outside["user_ns"] == parent["user_ns"] != events["/user"]["user_ns"]
    assert child["sid"] == outside["sid"], "in the host's namespace"


def test_terminal(etracee: Etracee, work: Path) -> None:
    text = f"""{TELL}
import fcntl, termios
master, slave = os.openpty()
def in_terminal():
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    tell("/terminal")
as_child(in_terminal)
print(json.dumps({{"mark": "name", "name": os.ttyname(slave)}}))
"""
    run = etracee.run({**PROFILE, "filter": "tty startswith pts/"}, *script(work, text))
    name = json.loads(run.stdout.splitlines()[-1])["name"]
    assert {event["tty"] for event in run.events} == {name.removeprefix("/dev/")}
    assert "/terminal" in {event["filename"] for event in run.events}


def test_login(etracee: Etracee, work: Path) -> None:
    """Missing until it is set, not 4294967295; the kernel decides so, too."""
    text = f"""{TELL}
tell("/before")
open("/proc/self/loginuid", "w").write("4242")
tell("/after")
"""
    if not Path("/proc/self/loginuid").exists():
        lacks("this kernel has no audit")
    if Path("/proc/self/loginuid").read_text() != "4294967295":
        lacks("these tests are run from a login, which cannot be changed")
    run = etracee.run(PROFILE, *script(work, text))
    found = compare(run, "/before", "/after")
    assert (found["/before"]["loginuid"], found["/after"]["loginuid"]) == (None, 4242)
    run = etracee.run({**PROFILE, "filter": "loginuid > 4000"}, *script(work, text))
    assert "/before" not in {event["filename"] for event in run.events}
    assert "/after" in {event["filename"] for event in run.events}


def test_program_that_is_removed_keeps_its_name(etracee: Etracee, work: Path) -> None:
    shell = work / "shell"
    shell.write_bytes(Path("/bin/sh").read_bytes())
    shell.chmod(0o755)
    run = etracee.run(PROFILE, shell, "-c", f"rm {shell}; : < /dev/null; cat /dev/null")
    opened = [event for event in run.events if event["filename"] == "/dev/null"]
    assert [event["exe"] for event in opened] == [str(shell), os.path.realpath("/bin/cat")]
    assert opened[1]["parent"]["exe"] == str(shell)


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_of_an_execve_it_is_the_old_program(etracee: Etracee, work: Path, attach: str) -> None:
    """Of the process that calls it, as its comm; whether it succeeds or not."""
    script_file = work / "script"
    script_file.write_text("#!/bin/sh\nexit 7\n")
    script_file.chmod(0o755)
    profile = {
        "context": ["pid", "comm", "exe", "cwd", "parent.exe"],
        "options": {"attach": attach},
        "events": {
            "execve": {"fields": ["filename", "path", "argv"]},
            "exit": {},
        },
    }
    text = f"""
os.chdir({str(work)!r})
try:
    os.execv("/nowhere", ["a"])
except OSError:
    os.execv({str(script_file)!r}, ["a", "b"])
"""
    run = etracee.run(profile, *script(work, text), code=7)
    first, failed, succeeded, ended = run.of("execve", "exit")
    python = os.path.realpath(PYTHON[0])
    assert first["exe"] == first["parent"]["exe"] == python
    for event in (failed, succeeded):
        assert (event["exe"], event["cwd"]) == (python, str(work))
    assert (succeeded["path"], succeeded["argv"]) == (str(script_file), ["a", "b"])
    assert ended["exe"] in (None, os.path.realpath("/bin/sh")), "it has no memory before Linux 6.16"
    assert ended["cwd"] == str(work)
