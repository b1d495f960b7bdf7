"""Lines for programs and for people: no byte of an event may break one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert
from msgspec.structs import asdict

from etracee.event import Alert, Event, Loss
from etracee.sinks.base import Sink, SinkClosedError
from etracee.sinks.json import JsonSink
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


def written(make: Callable[[int], Sink], *items: Event | Alert | Loss) -> bytes:
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
