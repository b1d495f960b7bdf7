"""Files, the system log and the journal: what they look like to those who read them."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sink_receivers import (
    Datagrams,
    alert,
    event,
    fields_of,
    loss,
    syslog_text,
    until,
)

from etracee.event import LEVELS
from etracee.problems import ProblemsError
from etracee.sinks import Sink, open_sinks
from etracee.sinks.queue import ROOM, close_all


@pytest.fixture
def datagrams(tmp_path: Path) -> Iterator[Datagrams]:
    receiver = Datagrams(tmp_path)
    receiver.start()
    yield receiver
    receiver.stop()


def open_one(text: str) -> Sink:
    [sink] = open_sinks([text])
    return sink


def filenames(path: Path) -> list[str]:
    return [json.loads(line)["filename"] for line in path.read_text().splitlines()]


def test_a_file_is_appended_to_and_not_for_all_to_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for name in ("first", "second"):
        sink = open_one(f"json:{path}")
        sink.write([event(name)])
        close_all([sink])
    assert filenames(path) == ["first", "second"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o037 == 0


@pytest.mark.parametrize("move", [Path.unlink, lambda path: path.rename(f"{path}.1")])
def test_reopen_makes_a_new_file_at_once(tmp_path: Path, move: object) -> None:
    path = tmp_path / "file"
    sink = open_one(f"json:{path}")
    sink.write([event("before")])
    until(lambda: path.stat().st_size > 0, "the first line")
    move(path)  # type: ignore[operator]
    sink.reopen()
    until(path.exists, "a new file, although nothing is written")
    sink.write([event("after")])
    close_all([sink])
    assert filenames(path) == ["after"]


def test_reopen_of_a_file_that_nothing_was_written_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sink = open_one(f"json:{path}")
    path.unlink()
    sink.reopen()
    until(path.exists, "a new file")
    close_all([sink])


def test_what_was_delivered_makes_room(tmp_path: Path) -> None:
    """More passes through the queue than it holds at a time."""
    path = tmp_path / "file"
    sink = open_one(f"json:{path}")
    for count in range(1, 4):
        sink.write([event("x" * 1000)] * (ROOM // 2000))
        until(lambda: path.stat().st_size > count * ROOM // 2, "the lines")  # noqa: B023
    close_all([sink])
    assert sink.dropped == {}


def test_a_line_that_was_torn_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"filename": "whole"}\n{"filena')
    sink = open_one(f"json:{path}")
    sink.write([event("next")])
    close_all([sink])
    first, torn, following = path.read_text().splitlines()
    assert torn == '{"filena'
    assert json.loads(first)["filename"] == "whole"
    assert json.loads(following)["filename"] == "next"


@pytest.fixture
def file_limit() -> Iterator[None]:
    """Give back the limit of files' sizes, which tests take for a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("moved", [False, True])
def test_a_disk_that_was_full_leaves_whole_lines(
    tmp_path: Path, file_limit: None, moved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    sink = open_one(f"json:{path}")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    names = [f"{number}-" + "x" * 100 for number in range(20)]
    sink.write([event(name) for name in names])
    until(lambda: path.stat().st_size == 1000, "a full disk, in the middle of a line")
    until(lambda: "trying again" in capsys.readouterr().err, "a note on stderr")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if not moved:
        until(lambda: path.read_text().count("\n") == 20, "the rest of the lines")
    path.rename(tmp_path / "moved")
    sink.reopen()
    sink.write([event("last")])
    close_all([sink])
    lines = [*(tmp_path / "moved").read_text().splitlines(keepends=True)]
    assert lines[-1].endswith("\n") is not moved
    lines = [line for line in lines if line.endswith("\n")] + path.read_text().splitlines()
    assert [json.loads(line)["filename"] for line in lines] == [*names, "last"]
    assert sink.dropped == {}


def test_a_pipe_without_a_reader_is_refused(tmp_path: Path) -> None:
    """Opening it would wait for one, for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProblemsError, match="nobody reads this pipe"):
        open_sinks([f"json:{tmp_path}/pipe"])


def test_text_has_day_and_time(tmp_path: Path) -> None:
    sink = open_one(f"text:{tmp_path}/file")
    sink.write([alert("opened"), loss(7)])
    close_all([sink])
    first, second = (tmp_path / "file").read_text().splitlines()
    assert re.fullmatch(r"2023-12-2\d \d\d:\d\d:56\.789 ALERT high a-rule: opened", first)
    assert re.fullmatch(
        r"2023-12-2\d \d\d:\d\d:57\.000 LOST 7 openat events, unseen by a-rule", second
    )


def test_a_host_that_allows_no_thread(tmp_path: Path) -> None:
    """What was not delivered is counted; when there is a thread again, it delivers all."""
    sinks = [open_one(f"json:{tmp_path}/{name}") for name in ("never", "later")]
    old = threading.stack_size(1 << 46)
    try:
        for sink in sinks:
            sink.write([event("first")])
    finally:
        threading.stack_size(old)
    sinks[1].write([event("second")])
    close_all(sinks)
    assert sinks[0].dropped == {"events": 1}
    assert filenames(tmp_path / "later") == ["first", "second"]


def test_levels_become_severities(datagrams: Datagrams) -> None:
    """As in RFC 5424, table 2: 2 critical, 3 error, 4 warning, 5 notice, 6 informational."""
    sinks = [open_one(f"all@{kind}:{datagrams.target}") for kind in ("syslog", "journald")]
    for sink in sinks:
        sink.write([*(alert("m", level) for level in LEVELS), loss(1), event("x")])
        close_all([sink])
    until(lambda: len(datagrams.received) == 14, "all messages")
    wanted = [6, 5, 4, 3, 2, 4, 6]
    found = [re.match(rb"<(\d+)>", message) for message in datagrams.received[:7]]
    assert [int(match[1]) & 7 for match in found if match] == wanted
    entries = [fields_of(entry) for entry in datagrams.received[7:]]
    assert [int(entry["PRIORITY"][0]) for entry in entries] == wanted
    assert {entry["SYSLOG_FACILITY"][0] for entry in entries} == {b"10"}


def test_syslog_cuts_what_daemons_would_not_take(datagrams: Datagrams) -> None:
    sink = open_one(f"syslog:{datagrams.target}")
    sink.write([alert("\u20ac" * 10_000)])
    close_all([sink])
    until(lambda: len(datagrams.received) == 1, "the message")
    [message] = datagrams.received
    assert 8180 < len(message) <= 8192
    assert re.fullmatch("ALERT high a-rule: \u20ac+…\\[cut\\]", syslog_text(message))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_syslog_of_another_host(host: str) -> None:
    """The form is that of RFC 5424, section 6."""
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.settimeout(20)
        try:
            server.bind(("::1" if host == "[::1]" else "127.0.0.1", 0))
        except OSError as error:
            pytest.skip(f"this host has no address {host}: {error}")
        sink = open_one(f"all@syslog:{host}:{server.getsockname()[1]}")
        sink.write([alert("a\nb"), loss(7), event("x" * 5000)])
        close_all([sink])
        messages = [server.recv(1 << 16) for _ in range(3)]
    name = re.escape(os.uname().nodename)
    head = rf"1 2023-12-21T01:50:5(6\.789012|7\.000000)Z {name} etracee {os.getpid()}"
    forms = (
        rf"<83>{head} alert - ALERT high a-rule: a\\nb",
        rf"<84>{head} lost - LOST 7 openat events, unseen by a-rule",
        rf"<86>{head} openat - cat\[1235\] openat\(filename=\"x+…\[cut\]",
    )
    for form, message in zip(forms, messages, strict=True):
        assert re.fullmatch(form, message.decode())
        assert len(message) <= 2048


def test_journal_fields(datagrams: Datagrams) -> None:
    sink = open_one(f"journald:{datagrams.target}")
    sink.write([alert("opened it", title="two\nlines\nPRIORITY=0")])
    close_all([sink])
    until(lambda: len(datagrams.received) == 1, "the entry")
    fields = fields_of(datagrams.received[0])
    item = json.loads(fields.pop("ETRACEE_JSON")[0])
    assert (item["type"], item["events"][0]["filename"]) == ("alert", "/etc/shadow")
    assert fields == {
        "MESSAGE": [b"ALERT high a-rule: opened it"],
        "PRIORITY": [b"3"],
        "SYSLOG_IDENTIFIER": [b"etracee"],
        "SYSLOG_FACILITY": [b"10"],
        "ETRACEE_TYPE": [b"alert"],
        "ETRACEE_RULE": [b"a-rule"],
        "ETRACEE_LEVEL": [b"high"],
        "ETRACEE_TITLE": [b"two\nlines\nPRIORITY=0"],
        "ETRACEE_TAG": [b"attack.t1003.008", b"attack.t1003"],
    }


def test_a_long_entry_goes_as_a_file(datagrams: Datagrams) -> None:
    """Longer than any datagram may be."""
    sink = open_one(f"all@journald:{datagrams.target}")
    sink.write([event("before"), event("x" * 1_000_000), event("after")])
    close_all([sink])
    until(lambda: len(datagrams.received) == 3, "the entries")
    names = [
        json.loads(fields_of(entry)["ETRACEE_JSON"][0])["filename"] for entry in datagrams.received
    ]
    assert names == ["before", "x" * 1_000_000, "after"]
    assert datagrams.files == 1
