"""32-bit calls, of a 32-bit program and of a 64-bit one; the witness is strace, in its own run."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kernel_run import Etracee, Event, Run, compile_c, lacks, needs_tool
from kernel_strace import read_calls

from etracee.catalog import load_catalog

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is x86's")

SOURCE = Path(__file__).with_name("kernel_compat.c")
FREESTANDING = (
    "-static",
    "-nostdlib",
    "-no-pie",
    "-fno-pie",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-w",
)
RESTARTED = -513
"""ERESTARTNOINTR of a fork or clone: under strace the SIGCHLD of the child before is pending."""
FIELDS: dict[str, list[str]] = {
    "open": ["filename", "flags", "mode", "path", "path_source"],
    "openat": ["dfd", "filename", "path"],
    "lseek": ["fd", "offset", "whence"],
    "truncate": ["filename", "length"],
    "pread64": ["fd", "count", "pos"],
    "fallocate": ["offset", "len"],
    "chown": ["filename", "owner", "owner_group"],
    "mmap": ["start", "len", "prot", "flags", "fd", "map_offset"],
    "socket": ["family", "socket_type"],
    "connect": ["fd", "addr", "port"],
    "shmget": ["ipc_key", "size"],
    "wait4": ["wait_pid", "options"],
    "syscall.fork": ["child_pid"],
    "clone": ["flags", "child_pid"],
    "umount2": ["flags"],
    "unlink": ["filename", "path"],
    "execve": ["filename", "argv", "path"],
}


def profile(**options: str) -> dict[str, Any]:
    events = {name: {"fields": fields} for name, fields in FIELDS.items()}
    return {"events": events, "options": options}


@pytest.fixture(scope="module", params=["-m32", "-m64"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        directory = tmp_path_factory.mktemp("compat")
        made = compile_c(directory, SOURCE.read_text(), *FREESTANDING, request.param)
        subprocess.run([made], cwd=directory, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        lacks(f"32-bit programs cannot be made or run here: {error}")
    return made


def of_program(events: list[Event]) -> list[Event]:
    """Return what its first process did, and not its children."""
    return [event for event in events if event["pid"] == events[0]["pid"]]


def until_exec(events: list[Event]) -> list[Event]:
    """Return what the program did itself, before it became /bin/true."""
    events = of_program(events)
    ends = [n for n, event in enumerate(events) if event["type"] == "execve" and not event["ret"]]
    return events[ends[0] + 1 : ends[1] + 1]


def seen(run: Run) -> list[tuple[str, int]]:
    """Return the names by which strace knows the calls, and their results."""
    calls = load_catalog().events
    found = []
    for event in until_exec(run.events):
        named = {call.number: call.name for call in calls[event["type"]].abi_calls}
        name = named[event["syscall_id"]]
        found.append((event["type"] if name in ("socketcall", "ipc") else name, event["ret"]))
    return found


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_decoded_as_strace_does(etracee: Etracee, program: Path, work: Path, attach: str) -> None:
    output = work.parent / "strace"
    strace = [needs_tool("strace"), "-f", "-xx", "-o", str(output), str(program)]
    subprocess.run(strace, cwd=work, check=True, stderr=subprocess.DEVNULL)
    calls = read_calls(output)
    own = [(call.name, call.ret) for call in calls if call.tid == calls[0].tid]
    told = [call for call in own[1:] if call[1] != RESTARTED]
    told = told[: [name for name, _ in told].index("brk")]
    run = etracee.run(profile(compat="decode", attach=attach), program, cwd=work)
    differing = {"mmap", "mmap2", "fork", "clone"}
    assert [(name, ret) for name, ret in seen(run) if name not in differing] == [
        (name, ret) for name, ret in told if name not in differing
    ]
    assert [name for name, _ in seen(run)] == [name for name, _ in told]
    decoded = until_exec(run.events)
    assert {event["abi"] for event in decoded} == {"i386"}
    assert all("abi" not in event for event in of_program(run.events) if event not in decoded)


def test_arguments(etracee: Etracee, program: Path, work: Path) -> None:
    """Of more than 32 bits, of fewer, in registers and in memory."""
    run = etracee.run(profile(compat="decode"), program, cwd=work)
    of: dict[str, list[Event]] = {name: [] for name in FIELDS}
    for event in until_exec(run.events):
        of[event["type"]].append(event)
    made, unreadable = of["open"]
    assert (made["filename"], made["flags"], made["mode"]) == ("made", "O_RDWR|O_CREAT", "0640")
    assert (made["path"], made["path_source"]) == (f"{work}/made", "kernel")
    assert unreadable["filename"] is None
    assert [(e["dfd"], e["path"]) for e in of["openat"]] == [("AT_FDCWD", f"{work}/absent")]
    assert [event["offset"] for event in of["lseek"]] == [-1]
    assert [event["length"] for event in of["truncate"]] == [(1 << 32) + 5, -1]
    assert [event["pos"] for event in of["pread64"]] == [(2 << 32) + 7]
    assert [(e["offset"], e["len"]) for e in of["fallocate"]] == [((1 << 32) + 1, (2 << 32) + 3)]
    assert [(e["owner"], e["owner_group"]) for e in of["chown"]] == [(-1, 5), (-1, 70000)]
    file, anonymous = of["mmap"]
    assert (file["fd"], file["map_offset"]) == (made["ret"], hex(0x100001 << 12))
    assert (anonymous["fd"], anonymous["flags"]) == (-1, "MAP_PRIVATE|MAP_ANONYMOUS")
    assert all(0 < int(event["ret"], 16) < 1 << 32 for event in of["mmap"])
    assert [(e["addr"], e["port"]) for e in of["connect"]] == [("127.0.0.1", 1)] * 2
    assert [event["syscall_id"] for event in of["connect"]] == [102, 362]
    assert [event["family"] for event in of["socket"]] == ["AF_INET", "AF_UNIX"]
    (forked,), (cloned,) = of["syscall.fork"], of["clone"]
    assert forked["child_pid"] == forked["ret"] > 0
    assert (cloned["flags"], cloned["child_pid"]) == ("CLONE_NEWUTS|SIGCHLD", cloned["ret"])
    failed, worked = of["execve"]
    assert failed["argv"] == worked["argv"] == ["true", "one", "two words"]
    assert (failed["path"], worked["filename"]) == ("/absent", "/bin/true")


MESSAGE = {
    "addr": "127.0.0.1", "port": 1, "msg_namelen": 16, "iov_len": 7, "msg_iovlen": 2,
    "msg_controllen": 12, "cmsg_level": "SOL_SOCKET", "cmsg_type": "SCM_CREDENTIALS",
}  # fmt: skip
STRUCTURES: list[tuple[str, int, Event]] = [
    ("writev", 146, {"iov_len": 7, "vlen": 2, "ret": 7}),
    ("sendmsg", 370, MESSAGE | {"ret": 7}),
    ("sendmsg", 102, MESSAGE | {"ret": 7}),
    ("sendmmsg", 345, MESSAGE | {"ret": 1, "msg_len": 7}),
    ("utimes", 271, {"atime_sec": 7, "atime_usec": 8, "mtime_sec": -9, "mtime_usec": 10}),
    ("utimensat", 320, {"atime_sec": 7, "atime_nsec": 8, "mtime_sec": -9, "mtime_nsec": 10}),
    ("utimensat", 412, {"atime_sec": 7 | 1 << 32, "atime_nsec": 8, "mtime_sec": -9}),
    ("msgrcv", 117, {"ipc_id": 77, "msgsz": 16, "msgtyp": -5}),
    ("msgrcv", 117, {"ipc_id": 77, "msgsz": 16, "msgtyp": -6}),
    ("semctl", 117, {"ipc_id": 77, "semnum": 2, "cmd": "IPC_STAT", "arg": "0xfffffffb"}),
    ("stat", 18, {"filename": "made"}),
]


def test_structures(etracee: Etracee, program: Path, work: Path) -> None:
    """What lies otherwise in memory; the program says what it put there."""
    events: dict[str, Any] = {"clone": {}}
    for name, _, expected in STRUCTURES:
        fields = events.setdefault(name, {"fields": []})["fields"]
        fields += [key for key in expected if key != "ret" and key not in fields]
    run = etracee.run({"events": events, "options": {"compat": "decode"}}, program, cwd=work)
    (child,) = [event["child_pid"] for event in run.of("clone") if "abi" in event]
    told = [event for event in run.events if event["pid"] == child]
    assert [(event["type"], event["syscall_id"]) for event in told] == [
        (name, number) for name, number, _ in STRUCTURES
    ]
    for event, (_, _, expected) in zip(told, STRUCTURES, strict=True):
        assert {key: event[key] for key in expected} == expected


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_told_at_their_entry(etracee: Etracee, program: Path, work: Path, attach: str) -> None:
    """What does not return, and how long the rest took: nanosleep is given 20 ms."""
    names = ("syscall.exit", "exit_group", "rt_sigreturn", "exit")
    events: dict[str, Any] = {name: {} for name in names}
    events |= {name: {"fields": ["duration_ns"]} for name in ("nanosleep", *FIELDS)}
    wanted = {"events": events, "options": {"compat": "decode", "attach": attach}}
    run = etracee.run(wanted, program, cwd=work)
    decoded = [event for event in run.events if "abi" in event]
    told = {event["syscall_id"]: event for event in decoded}
    codes = {event["pid"]: event["exit_code"] for event in run.of("exit")}
    for number, code in (1, 4), (252, 3):
        assert told[number]["error_code"] == codes[told[number]["pid"]] == code
    assert not [e for e in run.of("openat") if e["pid"] == told[252]["pid"]], "an x32 call is none"
    is_32_bit = program.read_bytes()[4] == 1
    returned = [e["syscall_id"] for e in decoded if e["type"] == "rt_sigreturn"]
    assert returned == ([119, 173] if is_32_bit else [])
    timed = [event for event in decoded if event["type"] not in names]
    assert {event["type"] for event in timed} >= {"connect", "mmap", "execve", "nanosleep"}
    assert all(event["duration_ns"] > 0 for event in timed)
    assert told[162]["duration_ns"] >= 20_000_000
    assert "what the entry tells" not in run.stderr


def test_filters_hold(etracee: Etracee, program: Path, work: Path) -> None:
    narrowed = profile(compat="decode") | {"filter": "ret >= 0 and filename = made"}
    run = etracee.run(narrowed, program, cwd=work)
    assert [event["type"] for event in run.events] == [
        "open", "truncate", "chown", "chown", "unlink",
    ]  # fmt: skip


def test_reported_where_they_are_not_decoded(etracee: Etracee, program: Path, work: Path) -> None:
    """None is taken for the 64-bit call of its number; only 32-bit programs can be counted."""
    run = etracee.run(profile(), program, cwd=work)
    calls = load_catalog().events
    assert {e["syscall_id"] - (calls[e["type"]].number or 0) for e in run.events} == {0}
    assert not [
        event for event in run.events if event["comm"] == "program" and "made" in str(event)
    ]
    is_32_bit = program.read_bytes()[4] == 1
    assert ("32-bit programs started, whose calls are not decoded: 1" in run.stderr) == is_32_bit


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_no_execve_of_theirs_is_told_lost(
    etracee: Etracee, program: Path, work: Path, attach: str
) -> None:
    """The program becomes /bin/true by an execve that the kernel calls a 64-bit one in the end."""
    wanted = {"options": {"attach": attach}, "events": {"execve": {}}}
    run = etracee.run(wanted, program, cwd=work, options=["--max-loss", "0"])
    assert [event["filename"] for event in run.of("execve")] == [str(program)]
    counts = run.summary["execve"]
    assert (counts.seen, counts.lost) == (1, 0)
    assert "programs started by 32-bit calls, which are not decoded: 1 (" in run.stderr
