"""Lines for programs and for people: no byte of an event may break one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert
from msgspec.structs import asdict

from etracee.event import Alert, Bucket, Count, Event, Histogram, Item, Loss
from etracee.sinks.base import Sink, SinkClosedError
from etracee.sinks.json import JsonSink
from etracee.sinks.live import TerminalSink
from etracee.sinks.text import TextSink


class Openat(Event, omit_defaults=True):
    """An event as the decoder makes it."""

    timestamp: object
    pid: object
    uid: object
    syscall_id: object
    type: object
    comm: object
    filename: object
    human_time: object
    tid: object
    ret: object
    flags: object
    argv: object
    texts: ClassVar = ("comm", "filename", "argv")
    context: ClassVar = ("pid", "uid", "comm")
    truncated: object = None
    raw: object = None


def event(filename: object = "/etc/passwd", comm: object = "cat", **more: object) -> Openat:
    return Openat(
        timestamp="1703123456789012345",
        pid=1234,
        uid=0,
        syscall_id=257,
        type="openat",
        comm=comm,
        filename=filename,
        human_time="2023-12-21 10:30:56.789",
        tid=1235,
        ret=more.pop("ret", 3),
        flags="O_RDONLY|O_CLOEXEC",
        argv=more.pop("argv", ["ls", "-l"]),
        **more,
    )


def alert(message: str) -> Alert:
    return Alert(
        timestamp="1",
        human_time="2023-12-21 10:30:56.789",
        rule="r",
        title="Title",
        level="high",
        tags=("t",),
        message=message,
        key=None,
        count=1,
        events=(event(),),
    )


def written(make: Callable[[int], Sink], *items: Item) -> bytes:
    reader, writer = os.pipe()
    make(writer).write(items)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        return file.read()


def test_json_line() -> None:
    assert written(JsonSink, event()) == (
        b'{"timestamp":"1703123456789012345","pid":1234,"uid":0,"syscall_id":257,'
        b'"type":"openat","comm":"cat","filename":"/etc/passwd",'
        b'"human_time":"2023-12-21 10:30:56.789","tid":1235,"ret":3,'
        b'"flags":"O_RDONLY|O_CLOEXEC","argv":["ls","-l"]}\n'
    )


def test_json_of_alerts_and_losses() -> None:
    found = [json.loads(line) for line in written(JsonSink, alert("m"), _loss()).splitlines()]
    assert list(found[0])[:2] == ["type", "timestamp"]
    assert (found[0]["type"], found[0]["events"][0]["type"]) == ("alert", "openat")
    assert found[1] == {
        "type": "lost",
        "event": "openat",
        "count": 7,
        "from": "1",
        "to": "2",
        "blind_rules": ["r"],
    }


def _loss() -> Loss:
    return Loss(event="openat", count=7, start="1", end="2", blind_rules=("r",))


class Nested(Openat):
    """An event with fields that share a key."""

    texts: ClassVar = (*Openat.texts, "parent.comm", "parent.exe")
    context: ClassVar = (*Openat.context, "parent.comm", "parent.exe")
    nested: ClassVar = ("parent.comm", "parent.exe", "local.port")
    parent: object = None
    local: object = None


@pytest.mark.parametrize(
    ("comm", "shown"),
    [
        ("bash", b"bash"),
        (None, b"-"),
        ("", b'""'),
        ("a b", b'"a b"'),
        ("x=1", b'"x=1"'),
        ('"', b'"\\""'),
        ("\x1b[2J", b"\\x1b[2J"),
    ],
)
def test_text_names_nested_fields_whole(comm: object, shown: bytes) -> None:
    """What stands behind the call is separated by spaces, so a text must not hold one unseen."""
    item = convert(asdict(event()), Nested)
    item.parent, item.local = {"comm": comm, "exe": "/bin/sh"}, {"port": 80}
    item.truncated = ("parent.exe",)
    assert written(TextSink, item).endswith(
        b", local.port=80) = 3 (cut: parent.exe)  uid=0 parent.comm=%b parent.exe=/bin/sh\n" % shown
    )


def test_text_line() -> None:
    assert written(TextSink, event(argv=["ls", "-l"])) == (
        b'10:30:56.789 cat[1234] openat(filename="/etc/passwd", flags=O_RDONLY|O_CLOEXEC, '
        b'argv=["ls", "-l"]) = 3  uid=0\n'
    )


class Sparse(Event):
    """An event of a profile whose context is the thread's id, with a key that few events have."""

    timestamp: object
    type: object
    human_time: object
    tid: object
    ret: object
    fd: object
    texts: ClassVar = ()
    context: ClassVar = ("tid",)
    truncated: object = None
    raw: object = None
    abi: object = None


@pytest.mark.parametrize(("abi", "shown"), [(None, b""), ("i386", b", abi=i386")])
def test_text_has_no_place_for_what_is_not_there(abi: object, shown: bytes) -> None:
    item = Sparse("1", "close", "2023-12-21 10:30:56.789", 7, 0, None, abi=abi)
    assert written(TextSink, item) == b"10:30:56.789 [7] close(fd=-%b) = 0\n" % shown


def test_text_names_the_error() -> None:
    assert b" = -2 ENOENT" in written(TextSink, event(ret=-2))


def test_text_of_a_call_that_does_not_return() -> None:
    assert b") = ?  uid" in written(TextSink, event(ret=None))


def test_text_names_what_was_cut() -> None:
    assert b"(cut: filename)" in written(TextSink, event(truncated=("filename",)))


def test_text_of_alerts_and_losses() -> None:
    assert written(TextSink, alert("cat opened it"), _loss()) == (
        b"10:30:56.789 ALERT high r: cat opened it\nLOST 7 openat events, unseen by r\n"
    )


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_no_text_breaks_a_line(filename: str, comm: str, argv: list[str]) -> None:
    items = (event(filename, comm, argv=argv), alert(filename), event())
    for sink in (JsonSink(1), TextSink(1)):
        lines = sink.encode(items)
        assert lines.count(b"\n") == len(items)
        assert not set(lines) & (set(range(32)) - {10}), "no control characters"
        assert len(lines.decode().splitlines()) == len(items) or isinstance(sink, JsonSink)
    shown = json.loads(JsonSink(1).encode([event(filename, comm, argv=argv)]))
    assert (shown["filename"], shown["comm"], shown["argv"]) == (filename, comm, argv)


@pytest.mark.parametrize("make", [JsonSink, TextSink])
def test_reader_that_has_gone(make: Callable[[int], Sink]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(SinkClosedError):
        make(writer).write([event()])
    os.close(writer)


def test_much_is_written_whole() -> None:
    """More than a pipe holds, which takes several calls."""
    items = [event("x" * 1000)] * 200
    reader, writer = os.pipe()
    lines: list[bytes] = []

    def read() -> None:
        with os.fdopen(reader, "rb") as file:
            lines.extend(file)

    thread = threading.Thread(target=read)
    thread.start()
    JsonSink(writer).write(items)
    os.close(writer)
    thread.join(timeout=5)
    assert len(lines) == len(items)
    assert set(lines) == {JsonSink(1).encode([event("x" * 1000)])}


def count(number: int, comm: str = "cat", **more: Any) -> Count:
    start, end = str(10**18), str(10**18 + 5 * 10**9)
    return Count("openat", {"comm": comm, "ret": -2}, number, start, end, **more)


def test_text_of_counts_is_a_table_for_each_set_of_fields() -> None:
    other = Count("exit", {"signal": None}, 4, str(10**18), str(10**18 + 5 * 10**9))
    lines = written(TextSink, count(2), count(12, "a b"), other, alert("m")).decode().splitlines()
    assert re.fullmatch(r"2001-09-0[89] ..:46:40.000 to 2001-09-0[89] ..:46:45.000", lines[0])
    assert lines[1:] == [
        "COUNT  EVENT   COMM   RET",
        '   12  openat  "a b"  -2 ENOENT',
        "    2  openat  cat    -2 ENOENT",
        "COUNT  EVENT  SIGNAL",
        "    4  exit   -",
        "",
        "10:30:56.789 ALERT high r: m",
    ]


def test_text_of_counts_marks_what_was_cut_and_escapes() -> None:
    text = written(TextSink, count(2, "\x1b[2J\n", truncated=("comm",))).decode()
    assert '"\\x1b[2J\\n"…  -2 ENOENT' in text
    assert "\x1b" not in text


def test_text_of_a_histogram_has_bars() -> None:
    buckets = (Bucket(None, 0, 1), Bucket(0, 1, 80), Bucket(1024, 2048, 40))
    lines = written(TextSink, count(121, histogram=Histogram("ret", buckets, 0))).decode()
    assert [line.split() for line in lines.splitlines()[3:6]] == [
        ["ret", "below", "0", "1", "#"],
        ["ret", "0", "80", "#" * 40],
        ["ret", "1024..2047", "40", "#" * 20],
    ]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Yield both ends of a terminal of 8 lines: what it shows, and what is written to."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 80, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


END = "\x1b[?7h"
"""What ends a table that is drawn: lines may be wrapped again."""


def read_tables(ours: int, tables: int = 1, end: str = END) -> str:
    """Return what a terminal shows until so many tables are whole; it hands them over in pieces."""
    shown = b""
    while shown.count(end.encode()) < tables:
        shown += os.read(ours, 65536)
    return shown.decode()


def test_a_terminal_is_redrawn(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    sink = TerminalSink(theirs)

    def shown() -> list[str]:
        return read_tables(ours).replace("\r\n", "\n").splitlines()

    sink.write([count(2)])
    assert shown() == [
        "\x1b[?7lCOUNT  NEW  EVENT   COMM  RET",
        "    2    2  openat  cat   -2 ENOENT",
        "\x1b[?7h",
    ]
    sink.write([alert("m"), count(3)])
    assert shown() == [
        "\x1b[2A\x1b[J10:30:56.789 ALERT high r: m",
        "\x1b[?7lCOUNT  NEW  EVENT   COMM  RET",
        "    5    3  openat  cat   -2 ENOENT",
        "\x1b[?7h",
    ]
    sink.write([count(1, f"name-{number}") for number in range(9)])
    lines = shown()
    assert lines[0].startswith("\x1b[2A\x1b[J")
    assert (len(lines), lines[-2]) == (7, "… 6 more lines"), "the terminal has 8 lines"
    sink.close()
    lines = read_tables(ours, end="or a pipe\r\n").replace("\r\n", "\n").splitlines()
    assert lines[0] == "\x1b[6A\x1b[JCOUNT  EVENT   COMM    RET"
    assert len(lines) == 6 and "\x1b" not in "".join(lines[1:])
    assert lines[-1] == "… 6 more lines; a file has all of them: -o FILE, or a pipe"


def test_a_terminal_adds_up_histograms(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    sink = TerminalSink(theirs)
    for number in (1, 2):
        spread = Histogram("ret", (Bucket(4, 8, number), Bucket(None, 0, 1)), number)
        sink.write([count(2 * number + 1, histogram=spread)])
    sink.close()
    last = read_tables(ours, 2).rpartition("\x1b[J")[2].removesuffix(END)
    assert [line.split()[:-1] for line in last.splitlines()[2:]] == [
        ["ret", "below", "0", "2"],
        ["ret", "4..7", "3"],
        ["ret", "missing", "3"],
    ]
