"""Filters: the right events are left, and the summary says where the others went."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from kernel_run import PATIENCE, Etracee, Event, Run, below, names, script, unique_comm

FILES = ("a.txt", "b.sh", "c.sh", "deep/a.sh", "secret-token", "ünï", "A.TXT", "x" * 90)

WORKLOAD = """
for name in names:
    libc.openat(-100, name.encode(), os.O_RDONLY)
libc.openat(-100, (names[0] + ".new").encode(), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
libc.openat(-100, (names[1] + ".new").encode(), os.O_CREAT | os.O_WRONLY, 0o600)
for address in (("127.0.0.1", 9), ("127.8.0.1", 10), ("192.0.2.7", 11)):
    connection = socket.socket(type=socket.SOCK_DGRAM)
    connection.connect(address) if address[0] != "192.0.2.7" else connection.connect_ex(address)
connection = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
connection.connect_ex(("::ffff:127.9.0.1", 12))
connection.connect_ex(("::1", 13))
"""

Keep = Callable[[Event], bool]


def name_of(event: Event) -> str:
    return str(event["filename"])


OPEN_FILTERS: dict[str, Keep] = {
    "filename startswith WORK/deep and filename endswith .sh": lambda e: "/deep" in name_of(e),
    "filename contains 'ünï'": lambda e: "ünï" in name_of(e),
    "filename like WORK/*.?h": lambda e: name_of(e).endswith(".sh"),
    "filename in (WORK/a.txt, WORK/b.sh, /nothing) and ret = ENOENT": (
        lambda e: name_of(e).endswith("/work/b.sh")
    ),
    "not filename endswith .sh and filename startswith WORK": (
        lambda e: not name_of(e).endswith(".sh")
    ),
    "flags has O_CREAT": lambda e: "O_CREAT" in e["flags"],
    "flags has O_WRONLY": lambda e: "O_WRONLY" in e["flags"],
    "ret >= 0 and writes": lambda e: "O_CREAT" in e["flags"],
    "filename matches '^WORK/[a-c][.](sh|txt)$'": (
        lambda e: Path(name_of(e)).name in ("a.txt", "b.sh", "c.sh") and "/deep" not in name_of(e)
    ),
    "mode = 0640": lambda e: e["mode"] == "0640",
}
"""A filter, and whether one of the workload's opens passes it."""


@pytest.fixture
def workload(work: Path) -> tuple[str | Path, ...]:
    """Return a program that opens FILES and connects."""
    (work / "deep").mkdir()
    (work / "a.txt").touch()
    return script(work, f"names = {[str(work / name) for name in FILES]!r}\n{WORKLOAD}")


@pytest.mark.parametrize("text", OPEN_FILTERS)
def test_a_filter_of_opens(
    text: str, etracee: Etracee, work: Path, workload: tuple[str | Path, ...]
) -> None:
    profile = {"events": {"openat": {"filter": text.replace("WORK", str(work))}}}
    run = etracee.run(profile, *workload)
    found = [name for name in names(below(run.events, work)) if name and not name.endswith(b".py")]
    keep = OPEN_FILTERS[text]
    wanted = [os.fsencode(name_of(event)) for event in opens_of_workload(work) if keep(event)]
    assert wanted, "the filter is to keep something"
    assert found == wanted
    assert_consistent(run)
    assert run.summary["openat"].filtered > 0


def opens_of_workload(work: Path) -> list[Event]:
    """Return what the workload opens, as far as filters look at it."""
    plain = [
        {"filename": str(work / name), "flags": "O_RDONLY", "mode": "000", "ret": -2 if at else 3}
        for at, name in enumerate(FILES)
    ]
    made = [
        {"filename": str(work / "a.txt.new"), "flags": "O_RDWR|O_CREAT|O_CLOEXEC", "mode": "0640"},
        {"filename": str(work / "b.sh.new"), "flags": "O_WRONLY|O_CREAT", "mode": "0600"},
    ]
    return plain + [{**event, "ret": 4} for event in made]


def assert_consistent(run: Run) -> None:
    """Check that every call seen was filtered, sent or lost, and that what was sent has come."""
    for name, count in run.summary.items():
        assert count.seen == count.filtered + count.sent + count.lost, f"{name}: {count}"
        assert count.sent == len(run.of(name)), f"{name}: {count}, {len(run.of(name))} have come"
        assert count.lost == 0


CONNECT_FILTERS: dict[str, list[str]] = {
    "addr in 127.0.0.0/8": ["127.0.0.1:9", "127.8.0.1:10", "127.9.0.1:12"],
    "port in 10..12 and family = AF_INET": ["127.8.0.1:10", "192.0.2.7:11"],
    "family = AF_INET6 and not addr in (127.0.0.0/8, 10.0.0.0/8)": ["::1:13"],
}


@pytest.mark.parametrize("text", CONNECT_FILTERS)
def test_a_filter_of_connections(
    text: str, etracee: Etracee, workload: tuple[str | Path, ...]
) -> None:
    run = etracee.run({"events": {"connect": {"filter": text}}}, *workload)
    found = [f"{event['addr']}:{event['port']}" for event in run.events]
    assert found == CONNECT_FILTERS[text]
    assert_consistent(run)
    assert run.summary["connect"].seen == 5


def test_filters_of_programs(etracee: Etracee) -> None:
    """`argv contains` asks for an equal element; the profile's filter is for every event."""
    profile = {
        "filter": "not comm in (sleepy, $quiet)",
        "lists": {"quiet": ["tail"]},
        "events": {"execve": {"filter": "argv contains --help"}, "exit": {}},
    }
    text = "cat --help; cat --helper; cat x--help; cat -- --help; tail --version; exit 3"
    run = etracee.run(profile, "sh", "-c", f"({text}) >/dev/null 2>&1", code=3)
    found = [event["argv"] for event in run.of("execve")]
    assert found == [["cat", "--help"], ["cat", "--", "--help"]]
    assert [event["comm"] for event in run.of("exit")].count("cat") == 4
    assert "tail" not in {event["comm"] for event in run.of("exit")}
    assert run.summary["execve"].filtered == 4
    assert_consistent(run)


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_successful_execs_are_filtered(etracee: Etracee, work: Path, attach: str) -> None:
    """What is told by numbers, and what is told by texts, both keep a successful exec back."""
    text = """
def run(uid, program):
    if os.fork() == 0:
        os.setresuid(uid, uid, uid)
        os.execv(program, [program])
    os.wait()
run(0, "/bin/true")
run(1000, "/bin/true")
run(1000, "/bin/false")
"""
    wanted = {"uid >= 1000": 2, "filename = /bin/false": 1, "uid = 1000 and comm = zzz": 0}
    for condition, count in wanted.items():
        profile = {
            "events": {"execve": {"filter": condition}},
            "options": {"attach": attach},
        }
        run = etracee.run(profile, *script(work, text))
        assert len(run.events) == count, condition
        assert run.summary["execve"].sent == count, "decided in the kernel"
        assert_consistent(run)


def test_options_narrow(etracee: Etracee, work: Path) -> None:
    text = """
def as_child(name, uid, gid):
    if os.fork() == 0:
        libc.prctl(15, name, 0, 0, 0)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        libc.openat(-100, b"/nowhere", 0)
        libc.execve(b"/nowhere", None, None)
        os._exit(0)
    os.wait()
as_child(b"one", 5000, 1)
as_child(b"two", 5001, 2)
as_child(b"three", 5002, 2)
as_child(b"f\\xff-our", 6000, 3)
"""
    command = script(work, text)
    everything = {"events": {"openat": {"filter": "filename = /nowhere"}, "execve": {}}}
    wanted: dict[tuple[str | bytes, ...], set[int]] = {
        ("--uid", "5000-5001,6000"): {5000, 5001, 6000},
        ("--comm", b"one,f\xff-our"): {5000, 6000},
        ("--uid", "5001-5999", "--comm", "two,one", "--gid", "2"): {5001},
    }
    for options, uids in wanted.items():
        run = etracee.run(everything, *command, options=[*options, "--event", "openat"])
        assert {(e["type"], e["uid"]) for e in run.events} == {("openat", uid) for uid in uids}
        assert {*run.summary} == {"openat"}, "--event leaves the others unwatched"
        assert_consistent(run)


def test_the_whole_host_but_not_etracee(etracee: Etracee, work: Path) -> None:
    """Without COMMAND a process that was there before is seen, etracee itself never."""
    go_reader, go_writer = os.pipe()
    name = unique_comm()
    text = f"""
open("/proc/self/comm", "w").write({name!r})
os.read({go_reader}, 1)
for turn in range(100): libc.openat(-100, {bytes(work)!r} + b"/marked-%d" % turn, 0)
"""
    with subprocess.Popen(script(work, text), pass_fds=[go_reader]) as marked:
        running = etracee.start({"events": {"openat": {}, "exit": {}}})
        running.await_attached(work)
        os.write(go_writer, b"!")
        assert marked.wait(PATIENCE) == 0
        os.close(go_reader)
        os.close(go_writer)
        running.await_output(os.fsencode(work / "marked-99"))
        run = running.end()
    assert run.code == 0, run.stderr
    events = [event for event in run.events if event["pid"] == marked.pid]
    found = [
        name
        for name in names(e for e in events if e["type"] == "openat")
        if b"/marked-" in (name or b"")
    ]
    assert found == [os.fsencode(work / f"marked-{turn}") for turn in range(100)]
    assert {event["comm"] for event in events} == {name}
    of_etracee = [event for event in run.events if event["pid"] == running.process.pid]
    assert not of_etracee, f"etracee reports itself: {of_etracee[:3]}"


def test_option_pid(etracee: Etracee, work: Path) -> None:
    go_reader, go_writer = os.pipe()
    text = f"""
if os.fork() == 0:
    while os.read({go_reader}, 1): libc.openat(-100, {bytes(work / "child")!r}, 0)
    os._exit(0)
while os.read({go_reader}, 1): libc.openat(-100, {bytes(work / "parent")!r}, 0)
os.wait()
"""
    with subprocess.Popen(script(work, text), pass_fds=[go_reader]) as parent:
        os.close(go_reader)
        running = etracee.start(
            {"events": {"openat": {}}}, options=["--pid", f"{parent.pid}", "--count", "20"]
        )
        while running.process.poll() is None:
            os.write(go_writer, b"!!")
            select.select([], [], [], 0.005)
        os.close(go_writer)
        run = running.wait()
    assert run.code == 0, run.stderr
    assert {event["pid"] for event in run.events} == {parent.pid}
    assert {event["filename"] for event in run.events} == {str(work / "parent")}
    assert len(run.events) == 20
