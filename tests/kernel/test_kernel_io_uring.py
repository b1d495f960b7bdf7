"""Requests that go through io_uring: what a program got of each, against what was told of it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kernel_reload import Reloaded
from kernel_run import Etracee, Run, compile_c, lacks

from etracee.catalog import fit_catalog, load_catalog
from etracee.kernel.btf import Btf

SOURCE = Path(__file__).with_name("kernel_io_uring.c")
SQPOLL, SINGLE_ISSUER_DEFERRED = 1 << 1, 1 << 12 | 1 << 13
ASYNC = 1 << 4
WAYS = {
    "inline": (0, 0),
    "worker": (0, ASYNC),
    "polled": (SQPOLL, 0),
    "polled-worker": (SQPOLL, ASYNC),
    "deferred": (SINGLE_ISSUER_DEFERRED, 0),
}
"""Flags of a ring and of a request, which decide which thread submits, executes and completes."""

FIELDS: dict[str, list[str]] = {
    "io_uring_openat": ["dfd", "filename", "flags", "mode", "path", "path_source", "opcode"],
    "io_uring_openat2": ["filename", "flags", "mode", "path", "path_source", "writes"],
    "io_uring_mkdirat": ["dfd", "filename", "mode", "path"],
    "io_uring_renameat": ["oldname", "newname", "path", "new_path", "flags"],
    "io_uring_linkat": ["oldname", "newname", "path", "new_path"],
    "io_uring_symlinkat": ["oldname", "newname", "path"],
    "io_uring_unlinkat": ["filename", "path", "flags"],
    "io_uring_statx": ["filename", "statx_mask"],
    "io_uring_ftruncate": ["fd", "length", "path"],
    "io_uring_setxattr": ["filename", "xattr_name", "size", "path"],
    "io_uring_fsetxattr": ["fd", "xattr_name", "path"],
    "io_uring_write": ["fd", "count", "pos", "path", "fd_path", "duration_ns"],
    "io_uring_close": ["fd", "fd_path"],
    "io_uring_socket": ["family", "socket_type", "protocol"],
    "io_uring_bind": ["fd", "family", "addr", "port"],
    "io_uring_listen": ["fd", "backlog", "socket.type", "fd_path"],
    "io_uring_connect": [
        "fd",
        "family",
        "addr",
        "port",
        "remote.addr",
        "remote.port",
        "duration_ns",
    ],
    "io_uring_accept": ["fd", "flags", "fd_path", "local.port"],
    "io_uring_send": ["len", "addr", "port"],
    "io_uring_shutdown": ["fd", "shutdown_how", "remote.port"],
}


@dataclass(frozen=True)
class Told:
    """What the program has printed of a completion."""

    event: str
    ret: int
    file: str


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    setting = Path("/proc/sys/kernel/io_uring_disabled")
    if setting.exists() and setting.read_text().strip() != "0":
        lacks("io_uring is forbidden here (sysctl kernel.io_uring_disabled)")
    return compile_c(tmp_path_factory.mktemp("io_uring"), SOURCE.read_text())


NAMED = (
    ("mkdirat", "d/inner", None),
    ("renameat", "second", "d/moved"),
    ("linkat", "d/moved", "linked"),
    ("symlinkat", "pointer", None),
    ("unlinkat", "pointer", None),
    ("unlinkat", "d/inner", None),
    ("unlinkat", "absent", None),
    ("ftruncate", "made", None),
    ("setxattr", "made", None),
    ("fsetxattr", "made", None),
    ("write", "made", None),
)
"""The files of the requests that open none, as the program makes them."""


@functools.cache
def shown_here() -> frozenset[str]:
    """Return the requests that this kernel knows, and shows therefore."""
    with Btf() as kernel:
        return frozenset(fit_catalog(load_catalog(), kernel).events)


def play(
    etracee: Etracee, program: Path, work: Path, scenario: str, way: str, profile: dict[str, Any]
) -> tuple[Run, list[Told]]:
    """Run a scenario under etracee; return what was seen, and what the program said of it."""
    run = etracee.run(profile, program, scenario, *map(str, WAYS[way]), cwd=work)
    lines = [line.split(" ", 2) for line in run.stdout.decode().splitlines()]
    return run, [Told(event, int(ret), file) for event, ret, file in lines]


def watching(*types: str, **more: Any) -> dict[str, Any]:
    return {"events": {name: {"fields": FIELDS[name]} for name in types}, **more}


_OF_SOCKETS = ("socket", "bind", "listen", "connect", "accept", "send", "shutdown")
NETWORK = watching(*(f"io_uring_{name}" for name in _OF_SOCKETS))
FILES = watching(*(name for name in FIELDS if name not in NETWORK["events"]))


def values(run: Run, *names: str) -> list[tuple[object, ...]]:
    return [tuple(event[name] for name in names) for event in run.events]


@pytest.mark.parametrize("way", WAYS)
def test_files(etracee: Etracee, program: Path, work: Path, way: str) -> None:
    """Whatever thread carries it out: results, names, paths, and whose request it was."""
    run, told = play(etracee, program, work, "files", way, FILES)
    told = [each for each in told if each.event in shown_here()]
    assert values(run, "type", "ret") == [(each.event, each.ret) for each in told]
    assert {event["comm"] for event in run.events} == {"program"}
    assert {event["pid"] - event["tid"] for event in run.events} == {0}
    assert {event["syscall_id"] for event in run.events} == {None}
    opens = [event for event in run.events if event["type"].startswith("io_uring_openat")]
    for event, each in zip(
        opens, (t for t in told if t.event.startswith("io_uring_op")), strict=True
    ):
        assert event["path_source"] == ("kernel" if each.ret >= 0 else event["path"] and "joined")
        if each.ret >= 0:
            assert event["path"] == each.file
    made, second, absent, wrong, unreadable, empty, with_how, refused = opens
    assert (made["filename"], made["mode"], made["dfd"]) == ("made", "0640", "AT_FDCWD")
    assert made["flags"].replace("O_LARGEFILE|", "") == "O_RDWR|O_CREAT|O_CLOEXEC"
    assert second["filename"] == "../made"
    assert absent["path"] == f"{work}/absent"
    assert (wrong["dfd"], wrong["path"]) == (999, None)
    assert (unreadable["filename"], unreadable["ret"]) == (None, -14)
    assert (empty["filename"], empty["path"]) == ("", None)
    assert (with_how["mode"], with_how["writes"]) == ("0600", True)
    assert (refused["filename"], refused["ret"], refused["path"]) == ("third", -22, f"{work}/third")
    named = [event for event in run.events if "path" in event and event not in opens]
    assert [(e["type"], e["path"], e.get("new_path")) for e in named] == [
        (f"io_uring_{name}", f"{work}/{old}", new and f"{work}/{new}")
        for name, old, new in NAMED
        if f"io_uring_{name}" in shown_here()
    ]
    assert [event["fd_path"] for event in run.of("io_uring_write")] == [f"{work}/made"]
    assert [event["fd_path"] for event in run.of("io_uring_close")] == [f"{work}/made"]
    assert all(0 < event["duration_ns"] < 60_000_000_000 for event in run.of("io_uring_write"))
    (attribute,) = run.of("io_uring_setxattr")
    assert (attribute["xattr_name"], attribute["size"]) == ("user.note", 5)


def test_what_comes_after_a_request_without_an_answer(
    etracee: Etracee, program: Path, work: Path
) -> None:
    run, told = play(etracee, program, work, "used-again", "inline", watching("io_uring_openat"))
    assert [each.ret for each in told] == [0] * 8
    assert values(run, "filename", "ret") == [("/etc/passwd", 0)]


@pytest.mark.parametrize("way", WAYS)
def test_network(etracee: Etracee, program: Path, work: Path, way: str) -> None:
    run, told = play(etracee, program, work, "network", way, NETWORK)
    port = next(each.ret for each in told if each.event == "port")
    link = next(each.file for each in told if each.event == "listening")
    told = [each for each in told if each.event in shown_here()]
    assert values(run, "type", "ret") == [(each.event, each.ret) for each in told]
    made, accepted, sent, ended = (
        run.of(f"io_uring_{name}")[0] for name in ("socket", "accept", "send", "shutdown")
    )
    connected, refused, unreadable = run.of("io_uring_connect")
    assert (made["family"], made["socket_type"]) == ("AF_INET", "SOCK_STREAM|SOCK_CLOEXEC")
    for bound in run.of("io_uring_bind"):
        assert (bound["fd"], bound["addr"], bound["port"]) == (made["ret"], "127.0.0.1", 0)
    for listening in run.of("io_uring_listen"):
        assert (listening["fd"], listening["backlog"]) == (made["ret"], 5)
        assert (listening["fd_path"], listening["socket"]) == (link, {"type": "SOCK_STREAM"})
    assert (connected["addr"], connected["port"]) == ("127.0.0.1", port)
    assert connected["remote"] == {"addr": "127.0.0.1", "port": port}
    assert connected["duration_ns"] > 0
    assert (accepted["fd"], accepted["flags"]) == (made["ret"], "SOCK_CLOEXEC")
    assert accepted["fd_path"] == link
    assert accepted["local"] == {"port": port}
    assert (refused["port"], refused["ret"]) == (1, -111)
    assert (unreadable["family"], unreadable["ret"]) == (None, -14)
    assert (sent["addr"], sent["port"], sent["len"]) == ("127.0.0.1", port, 8)
    assert (ended["shutdown_how"], ended["remote"]) == ("SHUT_RDWR", {"port": port})


def test_one_request_of_many_results(etracee: Etracee, program: Path, work: Path) -> None:
    run, told = play(etracee, program, work, "multishot", "inline", watching("io_uring_accept"))
    taken = [event["ret"] for event in run.events]
    assert taken[:3] == [each.ret for each in told]
    is_ended = [result < 0 for result in taken[3:]]
    is_late = "not told of, since it had not ended, io_uring: 1\n" in run.stderr
    assert is_ended == [True] * (not is_late), (
        "with the program, or after it by the kernel's worker"
    )


def test_files_of_the_rings_own(etracee: Etracee, program: Path, work: Path) -> None:
    """A request holds its file, whatever stands for it; 0 is no descriptor in either request."""
    profile = watching("io_uring_write", "io_uring_close")
    run, _ = play(etracee, program, work, "fixed", "inline", profile)
    assert values(run, "type", "ret", "fd", "fd_path") == [
        ("io_uring_write", 5, None, f"{work}/made"),
        ("io_uring_close", 0, None, None),
    ]


def test_a_descriptor_that_went_to_another_file(
    etracee: Etracee, program: Path, work: Path
) -> None:
    """The file that is open at the end is not the one that the first request has opened."""
    run, told = play(etracee, program, work, "reused", "inline", watching("io_uring_openat"))
    assert told[0].ret == told[1].ret
    assert values(run, "path", "path_source") == [
        ("/etc/passwd", "joined"),
        ("/etc/hostname", "kernel"),
    ]


def test_completions_that_found_no_room(etracee: Etracee, program: Path, work: Path) -> None:
    run, told = play(etracee, program, work, "overflow", "inline", watching("io_uring_openat"))
    assert sorted(values(run, "ret", "path")) == sorted(
        (each.ret, each.file if each.ret >= 0 else "/absent") for each in told
    )


def test_requests_that_keep_their_success_to_themselves(
    etracee: Etracee, program: Path, work: Path
) -> None:
    """They are told of as soon as they are submitted, and a failure once more."""
    profile = watching("io_uring_openat")
    run, _ = play(etracee, program, work, "unanswered", "inline", profile)
    assert values(run, "filename", "ret") == [
        ("/etc/passwd", 0),
        ("/absent", 0),
        ("/absent", -2),
        ("/etc/group", run.events[-1]["ret"]),
    ]
    assert "not told of" not in run.stderr


def test_rules_of_a_family_see_requests(etracee: Etracee, program: Path, work: Path) -> None:
    rule = {"id": "r", "title": "R", "events": ["$open"], "condition": f"path = {work}/absent"}
    rules = work.parent / "rules.yaml"
    rules.write_text(json.dumps({"rules": [rule]}))
    run, _ = play(
        etracee,
        program,
        work,
        "files",
        "polled",
        {"rules": [str(rules)], **watching("io_uring_bind")},
    )
    (alert,) = [item for item in run.items if item["type"] == "alert"]
    assert [event["type"] for event in alert["events"]] == ["io_uring_openat"]


def test_what_has_not_ended_is_counted(etracee: Etracee, program: Path, work: Path) -> None:
    """On the whole host: a request that still waits when etracee ends, and one from before it."""
    ring = [str(program), "pending", "0", "0"]
    with subprocess.Popen(ring, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as before:
        assert before.stdout and before.stdout.readline() == b"waiting\n"
        running = etracee.start({"events": {"io_uring_accept": {}, "openat": {}}})
        running.await_attached(work)
        before.communicate(b"\n")
        with subprocess.Popen(ring, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as after:
            assert after.stdout and after.stdout.readline() == b"waiting\n"
            run = running.end()
            after.communicate(b"\n")
    counts = run.summary["io_uring_accept"]
    assert (counts.seen, counts.lost) == (1, 1)
    assert "not told of, since it had not ended, io_uring: 1\n" in run.stderr


def test_a_reload_keeps_what_is_under_way(etracee: Etracee, program: Path, work: Path) -> None:
    profile = etracee.write_profile({"events": {"io_uring_accept": {}, "openat": {}}})
    reloaded = Reloaded(etracee.start(profile), Path(profile))
    reloaded.running.await_attached(work)
    ring = [str(program), "pending", "0", "0"]
    with subprocess.Popen(ring, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout and waiting.stdout.readline() == b"waiting\n"
        reloaded.reload()
        waiting.communicate(b"\n")
    run = reloaded.end()
    accepts = [event["ret"] for event in run.of("io_uring_accept") if event["comm"] == "program"]
    assert accepts == [-125]
    assert run.summary["io_uring_accept"].lost == 0


def test_a_reload_does_not_bring_back_what_has_no_answer(
    etracee: Etracee, program: Path, work: Path
) -> None:
    watched = {"io_uring_openat": {}, "openat": {}}
    profile = etracee.write_profile({"events": watched})
    reloaded = Reloaded(etracee.start(profile), Path(profile))
    reloaded.running.await_attached(work)
    ring = [str(program), "used-again", "0", "0"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(ring, env={**os.environ, "HELD_UP": "1"}, **pipes) as waiting:
        assert waiting.stdout and waiting.stdout.readline() == b"waiting\n"
        reloaded.reload()
        told, _ = waiting.communicate(b"\n")
    assert told.count(b"io_uring_nop 0") == 8
    opened = [e["filename"] for e in reloaded.end().of("io_uring_openat") if e["comm"] == "program"]
    assert opened == ["/etc/passwd"]
