"""Who made a call: context fields against what /proc and the caller itself say."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_run import PYTHON, Etracee, exact, lacks, script

CONTEXT = ["pid", "ppid", "tid", "uid", "gid", "euid", "egid", "comm", "cgroup_id"]
OPENAT = {"fields": ["filename"]}
PROFILE = {"context": CONTEXT, "events": {"openat": OPENAT}}

TELL = """
import json
def tell(mark):
    lines = open("/proc/thread-self/status", errors="surrogateescape")
    status = dict(line.split(":\\t", 1) for line in lines)
    ids = lambda name: [int(number) for number in status[name].split()]
    fd = libc.openat(-100, mark.encode(), os.O_RDONLY)
    print(json.dumps(dict(
        mark=mark, pid=ids("Tgid")[0], tid=ids("Pid")[0], ppid=ids("PPid")[0],
        uid=ids("Uid")[0], euid=ids("Uid")[1], gid=ids("Gid")[0], egid=ids("Gid")[1],
        ret=fd if fd >= 0 else -ctypes.get_errno(),
    )), flush=True)
"""


def test_ids_are_those_of_proc(etracee: Etracee, work: Path) -> None:
    text = f"""{TELL}
open({str(work / "there")!r}, "w").close()
os.chmod({str(work)!r}, 0o711)
tell("/etc/hostname")
tell("/nowhere")
thread = threading.Thread(target=tell, args=("/of-a-thread",)); thread.start(); thread.join()
def as_child(mark, *changes):
    if os.fork() == 0:
        for change in changes: change()
        tell(mark)
        os._exit(0)
    os.wait()
as_child("/child")
as_child("/real", lambda: os.setresgid(4001, 4001, 4001), lambda: os.setresuid(5001, 5001, 5001))
as_child("/effective", lambda: os.setresgid(-1, 4002, -1), lambda: os.setresuid(-1, 5002, -1))
as_child("/saved", lambda: os.setresuid(5003, 5004, 0))
high = 2**32 - 2
as_child("/high", lambda: os.setresgid(high, 2**31, 0), lambda: os.setresuid(high, 2**31 + 1, 0))
"""
    run = etracee.run(PROFILE, *script(work, text))
    wanted = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(wanted) == 8
    for told in wanted:
        mark = told.pop("mark")
        event = [event for event in run.events if event["filename"] == mark][-1]
        found = {name: event[name] for name in told}
        assert found == told, f"the event of {mark} differs from /proc/thread-self/status"


def test_parent_of_an_orphan_is_the_one_that_adopted_it(etracee: Etracee, work: Path) -> None:
    text = f"""{TELL}
libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: this process adopts
reader, writer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.close(writer)
        os.read(reader, 1)
        tell("/orphan")
        os._exit(0)
    os._exit(0)
os.wait()
os.close(writer)
os.wait()
"""
    run = etracee.run(PROFILE, *script(work, text))
    told = json.loads(run.stdout)
    [event] = [event for event in run.events if event["filename"] == "/orphan"]
    assert event["ppid"] == told["ppid"] == run.events[0]["pid"]


def test_comm_with_odd_bytes(etracee: Etracee, work: Path) -> None:
    odd = [
        b"plain",
        b"",
        b"fifteen--bytes!",
        b"more than fifteen bytes",
        b'\xff\xfe\n\x1b[0m"\\',
        "ü".encode() * 8,
    ]
    text = "".join(
        f"libc.prctl(15, {name!r}, 0, 0, 0)\nlibc.openat(-100, b'/odd-{number}', 0)\n"
        for number, name in enumerate(odd)
    )
    run = etracee.run(PROFILE, *script(work, text))
    found = {event["filename"]: exact(event, "comm") for event in run.events}
    wanted = {f"/odd-{number}": name[:15] for number, name in enumerate(odd)}
    assert {name: found[name] for name in wanted} == wanted


def test_comm_is_the_threads_own_and_the_callers(etracee: Etracee, work: Path) -> None:
    """A thread has its own name; an execve still shows that of the old image."""
    text = """
def work():
    libc.prctl(15, b"a-thread", 0, 0, 0)
    libc.openat(-100, b"/of-thread", 0)
libc.prctl(15, b"leader", 0, 0, 0)
thread = threading.Thread(target=work); thread.start(); thread.join()
libc.openat(-100, b"/of-leader", 0)
os.execv("/bin/true", ["true"])
"""
    profile = {**PROFILE, "events": {"openat": OPENAT, "execve": {}, "exit": {}}}
    run = etracee.run(profile, *script(work, text))
    comms = {event["filename"]: event["comm"] for event in run.of("openat")}
    assert (comms["/of-thread"], comms["/of-leader"]) == ("a-thread", "leader")
    assert run.of("execve")[-1]["comm"] == "leader"
    assert run.events[-1]["comm"] == "true"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Make a cgroup of version 2 that lasts as long as the test."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    if not roots:
        lacks("no cgroup2 is mounted")
    directory = roots[0] / f"etracee-test-{uuid.uuid4().hex}"
    try:
        directory.mkdir()
    except OSError as error:
        lacks(f"no cgroup can be made: {error}")
    yield directory
    directory.rmdir()


def test_cgroup_id_is_the_inode_of_the_directory(
    cgroup: Path, etracee: Etracee, work: Path
) -> None:
    text = f"""
libc.openat(-100, b"/outside", 0)
if os.fork() == 0:
    open({str(cgroup / "cgroup.procs")!r}, "w").write(str(os.getpid()))
    libc.openat(-100, b"/inside", 0)
    os._exit(0)
os.wait()
"""
    own = Path("/proc/self/cgroup").read_text().splitlines()
    here = next(line.split("::")[1] for line in own if line.startswith("0::"))
    run = etracee.run(PROFILE, *script(work, text))
    found = {event["filename"]: event["cgroup_id"] for event in run.events}
    assert found["/inside"] == cgroup.stat().st_ino
    assert found["/outside"] == (cgroup.parent / here.lstrip("/")).stat().st_ino


def test_pids_are_those_of_the_host_in_a_pid_namespace(etracee: Etracee, work: Path) -> None:
    text = """
CLONE_NEWPID = 0x20000000
if libc.unshare(CLONE_NEWPID): sys.exit(77)
pid = os.fork()
if pid == 0:
    libc.openat(-100, b"/inside-as-%d" % os.getpid(), 0)
    os._exit(0)
os.wait()
print(pid, os.getpid())
"""
    run = etracee.run(PROFILE, *script(work, text), code=None)
    if run.code == 77:
        lacks("pid namespaces cannot be made")
    pid, parent = map(int, run.stdout.split())
    [event] = [event for event in run.events if event["filename"] == "/inside-as-1"]
    assert (event["pid"], event["ppid"]) == (pid, parent)


def test_timestamps_are_wall_clock_and_in_order(etracee: Etracee, work: Path) -> None:
    text = """
import time
for turn in range(20):
    before = time.time_ns()
    libc.openat(-100, b"/turn-%d" % turn, 0)
    print(before, time.time_ns())
"""
    run = etracee.run(PROFILE, *script(work, text))
    spans = [[int(word) for word in line.split()] for line in run.stdout.splitlines()]
    times = [int(e["timestamp"]) for e in run.events if e["filename"].startswith("/turn-")]
    slack = 1_000_000
    late = [
        (time - after, before - time)
        for time, (before, after) in zip(times, spans, strict=True)
        if not before - slack <= time <= after + slack
    ]
    assert not late, f"timestamps outside the call, by ns: {late}"
    all_times = [int(event["timestamp"]) for event in run.events]
    assert all_times == sorted(all_times)
    assert work.stat().st_ctime_ns < times[-1]


def test_comm_of_the_parent_is_that_of_its_main_thread(etracee: Etracee, work: Path) -> None:
    """Nested as its name says, its odd bytes too; filters and rules name it with the dot."""
    odd = b"p \xff\n='"
    text = f"""
def tell(mark):
    if os.fork() == 0:
        libc.openat(-100, mark, 0)
        os._exit(0)
    os.wait()
def as_thread():
    libc.prctl(15, b"of-the-thread", 0, 0, 0)
    tell(b"/by-thread")
tell(b"/unnamed")
libc.prctl(15, b"hidden", 0, 0, 0)
tell(b"/hidden")
libc.prctl(15, {odd!r}, 0, 0, 0)
tell(b"/named")
thread = threading.Thread(target=as_thread); thread.start(); thread.join()
"""
    rules = work / "rules.yaml"
    condition = r"parent.comm startswith 'p \xff'"
    rule = {"id": "r", "title": "R", "events": ["openat"], "condition": condition}
    rule |= {"output": "of {parent.comm}"}
    rule |= {"threshold": {"count": 2, "within": "60s", "by": ["parent.comm", "uid"]}}
    rules.write_text(json.dumps({"rules": [rule]}))
    profile = {
        "context": ["comm", "parent.comm"],
        "events": {"openat": {**OPENAT, "filter": "not parent.comm = hidden"}},
    }
    run = etracee.run(profile, *script(work, text), options=["-r", str(rules)])
    found = {event["filename"]: event for event in run.events}
    assert found["/unnamed"]["parent"] == {"comm": Path(PYTHON[0]).name[:15]}
    for mark in ("/named", "/by-thread"):
        assert found[mark]["parent"] == {"comm": odd.decode("utf-8", "replace")}
        assert found[mark]["raw"]["parent"] == {"comm": base64.b64encode(odd).decode()}
    assert "/hidden" not in found
    [alert] = [item for item in run.items if item["type"] == "alert"]
    assert alert["key"] == {"parent": {"comm": odd.decode("utf-8", "replace")}, "uid": 0}
    assert alert["message"] == "of p \ufffd\\n='"
    assert [event["filename"] for event in alert["events"]] == ["/named", "/by-thread"]
