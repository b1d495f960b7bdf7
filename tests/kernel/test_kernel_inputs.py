"""Inputs that break tracers: odd bytes, bad pointers, long paths, short addresses."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path

import pytest
from kernel_run import PYTHON, Etracee, Event, Profile, exact, exact_list, parse_lines, script

BEGIN, END = b"/begin-of-the-test", b"/end-of-the-test"
OPENS: Profile = {"events": {"openat": {}}}
LONGEST = 4095
"""Bytes of the longest path that the kernel takes, its NUL not counted."""


def between_marks(events: list[Event]) -> list[Event]:
    """Return what the workload did between its two marks."""
    marks = [at for at, event in enumerate(events) if exact(event, "filename") in (BEGIN, END)]
    assert len(marks) == 2, f"{len(marks)} events of the two marks"
    return events[marks[0] + 1 : marks[1]]


def open_each(names: list[bytes | str]) -> str:
    """Return a program that opens each name; a name in a str is an expression of ctypes."""
    wanted = [name if isinstance(name, str) else repr(name) for name in (BEGIN, *names, END)]
    return "".join(f"libc.openat(-100, {name}, 0)\n" for name in wanted)


def test_names_with_odd_bytes_are_exact(etracee: Etracee, work: Path) -> None:
    odd = [
        b"/\xff\xfe not UTF-8 \x80",
        b"/quote\" apostrophe' backslash\\ slash/",
        b'/line\nfeed\r\n and {"type":"exit"}',
        b"/\x1b[31mred\x1b]0;title\x07\x7f\x01",
        "/ümläut-日本-\U0001f600-\u2028".encode(),
        b"/\xed\xa0\x80 a surrogate, \xc0\x80 overlong",
        b"",
        b"/" + bytes(range(1, 256)),
    ]
    run = etracee.run(OPENS, *script(work, open_each(list(odd))))
    events = between_marks(run.events)
    assert [exact(event, "filename") for event in events] == odd
    for name, event in zip(odd, events, strict=True):
        assert event["filename"] == name.decode("utf-8", "replace")
        try:
            name.decode()
            assert "raw" not in event, f"{name!r} is UTF-8, yet its bytes follow"
        except UnicodeDecodeError:
            assert event["raw"] == {"filename": base64.b64encode(name).decode()}
    assert run.output.count(b"\n") == len(run.items), "a name has broken a line"


def test_no_byte_of_a_name_reaches_a_terminal(etracee: Etracee, work: Path) -> None:
    odd: list[bytes | str] = [b"/\x1b[31mred", b"/a\nb", b"/\xff", b"/\xc2\x9b31m"]
    command = script(work, open_each(odd))
    run = etracee.run(OPENS, *command, options=["--format", "text"])
    lines = run.output.decode("utf-8").split("\n")
    assert sum("/begin-of-the-test" in line for line in lines) == 1
    control = {char for line in lines for char in line if not char.isprintable()}
    assert not control, f"the text output holds control characters: {control}"


def test_bad_pointers_are_null(etracee: Etracee, work: Path) -> None:
    pointers: list[bytes | str] = ["None", "ctypes.c_void_p(1)", "ctypes.c_void_p(-4096)"]
    run = etracee.run(OPENS, *script(work, open_each(pointers)))
    events = between_marks(run.events)
    assert [(event["filename"], event["ret"]) for event in events] == [(None, -14)] * 3
    assert not any("truncated" in event or "raw" in event for event in events)


@pytest.mark.parametrize(("limit", "options"), [(256, {}), (4096, {"max_string": "4096"})])
def test_long_paths_are_whole_or_marked(
    limit: int, options: dict[str, str], etracee: Etracee, work: Path
) -> None:
    paths = [b"/" + b"x" * (size - 1) for size in (255, 256, 257, LONGEST)]
    run = etracee.run(
        {"events": {"openat": {}}, "options": options}, *script(work, open_each(list(paths)))
    )
    events = between_marks(run.events)
    assert [exact(event, "filename") for event in events] == [path[:limit] for path in paths]
    marks = [event.get("truncated") for event in events]
    assert marks == [["filename"] if len(path) > limit else None for path in paths]
    assert run.summary["openat"].cut == sum(len(path) > limit for path in paths)


def test_a_character_that_is_cut_in_two_shows_its_bytes(etracee: Etracee, work: Path) -> None:
    name = b"/" + b"x" * 254 + "é".encode()
    profile = {"events": {"openat": {}}, "options": {"max_string": "256"}}
    event = between_marks(etracee.run(profile, *script(work, open_each([name]))).events)[0]
    assert exact(event, "filename") == name[:256]


def test_both_limits_at_their_highest(etracee: Etracee) -> None:
    """The profile's limits are valid each by itself, so the kernel must take both together."""
    profile = {
        "options": {"max_string": "4096", "max_argv": "4096"},
        "events": {"execve": {}, "execveat": {}},
    }
    argv = ["/bin/echo", *("y" * 100 for _ in range(30))]
    run = etracee.run(profile, *argv)
    assert run.of("execve")[0]["argv"] == argv


def vector(*words: bytes) -> str:
    """Return the C form of an argument vector."""
    return f"(ctypes.c_char_p * {len(words) + 1})(*{words!r}, None)"


def test_argument_vectors(etracee: Etracee, work: Path) -> None:
    script_file = work / "a script"
    script_file.write_bytes(b"#!/bin/sh -e\n:\n")
    script_file.chmod(0o755)
    vectors = [
        (b"true", b"", b"a b", b'"', b""),
        (b"tr\xffue", b"\n", "ü".encode()),
        tuple(b"%d" % number for number in range(250)),
        (),
        (b"z" * 3000, b"lost"),
        tuple(b"q" * 50 for _ in range(100)),
        tuple(b"" for _ in range(400)),
    ]
    fails = "".join(f"libc.execve(b'/no/such', {vector(*words)}, None)\n" for words in vectors)
    runs = "".join(
        f"if not os.fork(): libc.execve({path!r}, {vector(*words)}, None)\nos.wait()\n"
        for path, words in [
            *((b"/bin/true", words) for words in vectors if words),
            (os.fsencode(script_file), (b"my name", b"\xff", b"")),
        ]
    )
    nulls = (
        "libc.execve(b'/no/such', None, None)\nlibc.execve(b'/no/such', ctypes.c_void_p(1), None)\n"
    )
    run = etracee.run({"events": {"execve": {}}}, *script(work, fails + nulls + runs))
    events = run.of("execve")[1:]
    wanted = [
        *vectors,
        (),
        None,
        *(words for words in vectors if words),
        (b"my name", b"\xff", b""),
    ]
    assert len(events) == len(wanted)
    for event, words in zip(events, wanted, strict=True):
        found = exact_list(event, "argv")
        if words is None:
            assert found is None, "an argument vector at address 1 was read"
        elif event.get("truncated"):
            assert event["truncated"] == ["argv"]
            assert found is not None
            assert sum(len(word) + 1 for word in words) > 1024 or len(words) > 256
            whole = b"\0".join(words)
            assert whole.startswith(b"\0".join(found)), f"{found} is no beginning of {words}"
            assert len(found) >= 256 or len(b"\0".join(found)) >= 1000
        else:
            assert found == list(words)
    *_, of_script = events
    assert of_script["filename"] == str(script_file), "of a script, its own name was passed"
    marked = [event for event in events if "truncated" in event]
    assert len(marked) == 6, "three vectors are too long, each passed twice"
    assert run.summary["execve"].cut == 6


def test_a_process_that_ends_at_once(etracee: Etracee, work: Path) -> None:
    source = work / "nothing.py"
    source.write_text(
        "import os\nfor _ in range(50):\n  if not os.fork(): os._exit(3)\n  os.wait()\n"
    )
    run = etracee.run({"events": {"exit": {}, "execve": {}}}, *PYTHON, source)
    ended = [event["exit_code"] for event in run.of("exit")]
    assert ended == [3] * 50 + [0]
    run = etracee.run("minimal", "/bin/true")
    assert [event["type"] for event in run.events][:: len(run.events) - 1] == ["execve", "exit"]


def address(family: int, *parts: bytes) -> bytes:
    """Return a socket address as the kernel has it."""
    return family.to_bytes(2, "little") + b"".join(parts)


PORT = (4711).to_bytes(2, "big")
V4 = address(socket.AF_INET, PORT, bytes([127, 0, 0, 9]), bytes(8))
ADDRESSES: tuple[tuple[bytes, tuple[object, ...]], ...] = (
    (V4, ("AF_INET", "127.0.0.9", 4711, None)),
    (
        address(socket.AF_INET6, PORT, bytes(4), bytes(15) + b"\1", bytes(4)),
        ("AF_INET6", "::1", 4711, None),
    ),
    (
        address(socket.AF_INET6, PORT, bytes(4), bytes(10) + b"\xff\xff\x7f\0\0\t", bytes(4)),
        ("AF_INET6", "127.0.0.9", 4711, None),
    ),
    (
        address(socket.AF_INET6, PORT, bytes(4), b"\x20\x01\x0d\xb8" + bytes(12), bytes(4)),
        ("AF_INET6", "2001:db8::", 4711, None),
    ),
    (address(socket.AF_UNIX, b"/run/no such\n\0"), ("AF_UNIX", None, None, b"/run/no such\n")),
    (address(socket.AF_UNIX, b"/run/\xff\xfe"), ("AF_UNIX", None, None, b"/run/\xff\xfe")),
    (address(socket.AF_UNIX, b"\0abs\nt\xff"), ("AF_UNIX", None, None, b"@abs\nt\xff")),
    (address(socket.AF_UNIX), ("AF_UNIX", None, None, None)),
    (address(socket.AF_UNIX, b"/" + b"u" * 107), ("AF_UNIX", None, None, b"/" + b"u" * 107)),
    (address(socket.AF_NETLINK, bytes(10)), ("AF_NETLINK", None, None, None)),
    (address(socket.AF_UNSPEC, bytes(14)), ("AF_UNSPEC", None, None, None)),
    (address(200, bytes(14)), (200, None, None, None)),
    (V4[:7], ("AF_INET", None, 4711, None)),
    (V4[:3], ("AF_INET", None, None, None)),
    (V4[:1], (None, None, None, None)),
    (b"", (None, None, None, None)),
)


def test_socket_addresses(etracee: Etracee, work: Path) -> None:
    calls = "fd = libc.socket(1, 1, 0)\n" + "".join(
        f"libc.connect(fd, {data!r}, {len(data)})\n" for data, _ in ADDRESSES
    )
    calls += "libc.connect(fd, None, 16)\nlibc.connect(fd, ctypes.c_void_p(1), 16)\n"
    run = etracee.run({"events": {"connect": {}}}, *script(work, calls))
    found = [
        (event["family"], event["addr"], event["port"], exact(event, "sun_path"))
        for event in run.of("connect")
    ]
    assert found == [parts for _, parts in ADDRESSES] + [(None, None, None, None)] * 2


def test_connections_that_succeed(etracee: Etracee, work: Path) -> None:
    text = """
for family, place in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    try:
        server = socket.create_server((place, 0), family=family)
    except OSError:
        continue
    client = socket.socket(family)
    client.connect(server.getsockname())
    print(place, server.getsockname()[1], client.fileno())
"""
    run = etracee.run({"events": {"connect": {}}}, *script(work, text))
    wanted = [line.split() for line in run.stdout.decode().splitlines()]
    assert wanted, "neither IPv4 nor IPv6 on this host"
    found = [[e["addr"], str(e["port"]), str(e["fd"])] for e in run.of("connect")]
    assert found == wanted
    assert {event["ret"] for event in run.of("connect")} == {0}


def test_signals_sent(etracee: Etracee, work: Path) -> None:
    text = """
child = os.fork()
if child == 0:
    while True: signal.pause()
for number in (0, signal.SIGCONT, 99, signal.SIGKILL):
    libc.kill(child, number)
libc.kill(-0x7ffffff0, 15)
os.waitpid(child, 0)
print(child)
"""
    run = etracee.run({"events": {"kill": {}, "exit": {}}}, *script(work, text))
    child = int(run.stdout)
    found = [(event["target_pid"], event["sig"], event["ret"]) for event in run.of("kill")]
    assert found == [
        (child, 0, 0),
        (child, "SIGCONT", 0),
        (child, 99, -22),
        (child, "SIGKILL", 0),
        (-0x7FFFFFF0, "SIGTERM", -3),
    ]
    assert [e["signal"] for e in run.of("exit") if e["pid"] == child] == ["SIGKILL"]


def test_the_last_field_lies_where_it_is_read(etracee: Etracee, work: Path) -> None:
    """Records whose fixed part ends at every offset within 8 bytes."""
    contexts = (["pid"], ["pid", "tid"], ["comm"], ["pid", "uid", "gid", "cgroup_id"])
    names = [["filename"], ["filename", "flags"], ["dfd", "filename"], ["dfd", "filename", "flags"]]
    command = script(work, "libc.unlinkat(-100, b'/no/such/file', 0)")
    for context, fields in zip(contexts, names, strict=True):
        profile = {"context": context, "events": {"unlinkat": {"fields": fields}}}
        found = [exact(event, "filename") for event in etracee.run(profile, *command).events]
        assert found == [b"/no/such/file"], f"with context {context} and fields {fields}"


def test_every_line_has_the_envelope(etracee: Etracee) -> None:
    run = etracee.run("minimal", "sh", "-c", "ls / >/dev/null; exit 3", code=3)
    for event in parse_lines(run.output):
        keys = [*event]
        assert keys[:2] == ["timestamp", "pid"], keys
        assert {"timestamp", "type", "syscall_id", "human_time", "tid"} <= {*keys}
        assert ("ret" in event) == (event["syscall_id"] is not None)
        assert int(event["timestamp"]) > 0 and isinstance(event["timestamp"], str)
