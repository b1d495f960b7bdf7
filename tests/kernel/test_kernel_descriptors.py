"""What lies behind descriptors: against readlink of /proc/self/fd, getsockname and getpeername."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kernel_run import Etracee, Event, script


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_files_as_readlink_shows_them(etracee: Etracee, work: Path, attach: str) -> None:
    """But for what the kernel names elsewhere: a removed file's mark, the kind of a namespace."""
    text = f"""
import json, select
there = {str(work)!r} + "/"
os.mkfifo(there + "fifo")
unix = socket.socket(socket.AF_UNIX); unix.bind(there + "unix")
opened = open(there + "a file", "w"); removed = open(there + "removed", "w")
os.unlink(there + "removed")
pipe = os.pipe()
inotify = libc.inotify_init1(0)
fds = dict(
    file=opened.fileno(), removed=removed.fileno(), directory=os.open(there, os.O_RDONLY),
    null=os.open("/dev/null", 0), proc=os.open("/proc/self/stat", 0),
    fifo=os.open(there + "fifo", os.O_RDWR), pipe=pipe[0],
    unix=unix.fileno(), unix_file=os.open(there + "unix", os.O_PATH), tcp=socket.socket().fileno(),
    epoll=select.epoll().fileno(), inotify=inotify, eventfd=libc.eventfd(0, 0),
    timerfd=libc.timerfd_create(1, 0), memfd=os.memfd_create("some name"), pty=os.openpty()[1],
    ns=os.open("/proc/self/ns/net", 0), pidfd=os.pidfd_open(os.getpid()), closed=999, wrong=-1,
)
for name, fd in fds.items():
    libc.fsync(fd)
    there = os.path.lexists(f"/proc/self/fd/{{fd}}")
    print(json.dumps([name, fd, os.readlink(f"/proc/self/fd/{{fd}}") if there else None]))
"""
    profile = {
        "options": {"attach": attach},
        "events": {"fsync": {"fields": ["fd", "fd_path", "path"]}},
    }
    run = etracee.run(profile, *script(work, text))
    found = {event["fd"]: event for event in run.events}
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(told) == 20
    for name, fd, link in told:
        wanted = {"removed": str(work / "removed"), "ns": None}.get(name, link)
        assert found[fd]["fd_path"] == wanted, name
        in_tree = wanted is not None and wanted.startswith("/") and name != "memfd"
        assert found[fd]["path"] == (wanted if in_tree else None), name


def test_filters_and_rules_know_what_lies_behind(etracee: Etracee, work: Path) -> None:
    text = """
reader, writer = os.pipe()
os.write(writer, b"a")
os.write(os.open("/dev/null", 1), b"bc")
os.sendfile(os.open("/dev/null", 1), os.open("/etc/hostname", 0), 0, 1)
"""
    profile = {
        "filter": "fd_path like pipe:* or in_fd_path = /etc/hostname",
        "events": {
            "write": {"fields": ["count", "fd_path"]},
            "sendfile": {"fields": ["in_fd_path", "out_fd_path"]},
        },
    }
    run = etracee.run(profile, *script(work, text))
    (written,) = run.of("write")
    assert (written["count"], written["fd_path"][:6]) == (1, "pipe:[")
    (sent,) = run.of("sendfile")
    assert (sent["in_fd_path"], sent["out_fd_path"]) == ("/etc/hostname", "/dev/null")


FIELDS = [
    *("fd", "socket.family", "socket.type", "socket.protocol"),
    *("local.addr", "local.port", "remote.addr", "remote.port"),
]
CALLS = (
    *("bind", "listen", "connect", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg"),
    *("shutdown", "setsockopt"),
)
ADDRESSES = """
import json
def told(call, sock, wanted=None):
    own = sock.getsockname()
    try:
        other = sock.getpeername()
    except OSError:
        other = (None, None)
    print(json.dumps(dict(
        call=call, family=sock.family.name, type=sock.type.name,
        protocol=sock.getsockopt(socket.SOL_SOCKET, 38),  # SO_PROTOCOL
        local=[own[0].removeprefix("::ffff:"), own[1]],
        remote=[other[0] and other[0].removeprefix("::ffff:"), other[1]],
    )), flush=True)
"""


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_sockets_as_they_say_themselves(etracee: Etracee, work: Path, attach: str) -> None:
    """After each call, as the kernel would answer then; IPv4-mapped addresses print as IPv4."""
    text = f"""{ADDRESSES}
def talk(family, host, to):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind((host, 0)); told("bind", server)
    server.listen(1); told("listen", server)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); told("setsockopt", client)
    client.connect((to, server.getsockname()[1])); told("connect", client)
    taken, _ = server.accept(); told("accept4", taken)
    client.send(b"x"); told("sendto", client)
    taken.recv(9); told("recvfrom", taken)
    taken.sendmsg([b"y"]); told("sendmsg", taken)
    client.recvmsg(9); told("recvmsg", client)
    client.shutdown(socket.SHUT_WR); told("shutdown", client)
talk(socket.AF_INET, "127.0.0.1", "127.0.0.1")
talk(socket.AF_INET6, "::1", "::1")
talk(socket.AF_INET6, "::", "::ffff:127.0.0.1")
free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
free.bind(("127.0.0.2", 0)); told("bind", free)
free.sendto(b"x", ("127.0.0.1", 9)); told("sendto", free)
free.connect(("127.0.0.3", 9)); told("connect", free)
"""
    events: dict[str, Any] = {call: {"fields": FIELDS} for call in CALLS}
    profile = {
        "options": {"attach": attach},
        "filter": "socket.family in (AF_INET, AF_INET6)",
        "events": events,
    }
    run = etracee.run(profile, *script(work, text))
    wanted = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(wanted) == 33
    assert [_as_told(event) for event in run.events] == wanted


def _as_told(event: Event) -> dict[str, object]:
    kind = event["socket"]
    return {
        "call": event["type"],
        **{name: kind[name] for name in ("family", "type", "protocol")},
        **{end: [event[end]["addr"], event[end]["port"]] for end in ("local", "remote")},
    }


def test_what_is_no_socket_has_no_ends(etracee: Etracee, work: Path) -> None:
    """A unix socket has a kind but no IP addresses; its file on disk is no socket."""
    name = str(work / "unix")
    text = f"""
server = socket.socket(socket.AF_UNIX); server.bind({name!r})
server.listen(0)
libc.listen(os.open({name!r}, os.O_PATH), 1)
libc.listen(os.open("/dev/null", 0), 2)
libc.listen(999, 3)
"""
    profile = {"events": {"listen": {"fields": ["backlog", "endpoints", *FIELDS[1:]]}}}
    run = etracee.run(profile, *script(work, text))
    found = {event["backlog"]: event for event in run.events}
    nothing = {"addr": None, "port": None}
    for event in found.values():
        assert (event["local"], event["remote"]) == (nothing, nothing)
    assert found[0]["socket"] == {"family": "AF_UNIX", "type": "SOCK_STREAM", "protocol": 0}
    assert found[0]["endpoints"] == "1/1/0"
    for backlog in (1, 2, 3):
        assert set(found[backlog]["socket"].values()) == {None}
        assert found[backlog]["endpoints"] is None


def test_the_kernel_decides_by_both_ends(etracee: Etracee, work: Path) -> None:
    """The same comparisons in C and in Python, of which each event takes one way."""
    text = """
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(1)
client = socket.socket(); client.connect(server.getsockname())
other = socket.socket(socket.AF_INET6); other.bind(("::1", 0)); other.listen(1)
six = socket.socket(socket.AF_INET6); six.connect(other.getsockname())
for end in (client, six):
    end.send(b"x")
print(server.getsockname()[1])
"""
    profile = {
        "filter": "remote.addr in 127.0.0.0/8 and local.addr = 127.0.0.1 and remote.port > 0",
        "events": {"sendto": {"fields": FIELDS}},
    }
    run = etracee.run(profile, *script(work, text))
    (event,) = run.of("sendto")
    assert event["remote"] == {"addr": "127.0.0.1", "port": int(run.stdout)}
    counts = run.summary["sendto"]
    assert (counts.filtered, counts.sent) == (1, 1), "decided in the kernel"
