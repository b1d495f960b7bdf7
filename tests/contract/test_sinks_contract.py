"""What every sink keeps to; a new module under etracee/sinks needs a receiver for its test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sink_receivers import RECEIVERS, Receiver, alert, count, event, loss, until

from etracee.problems import ProblemsError
from etracee.sinks import Sink, all_sinks, open_sinks, queue
from etracee.sinks.queue import close_all

HOSTILE = 'a\0b\nc\r\x1b[31m\x1b]0;x\x07<0>=" \u2028\u202e\ufffd'
KINDS = all_sinks()

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def receiver(kind: str, tmp_path: Path) -> Iterator[Receiver]:
    assert kind in RECEIVERS, f"{kind} needs a receiver in sink_receivers.py"
    made = RECEIVERS[kind](tmp_path)
    yield made
    made.stop()


def opened(kind: str, receiver: Receiver, what: str = "all@") -> Sink:
    [sink] = open_sinks([f"{what}{kind}:{receiver.target}"])
    return sink


@each_kind
def test_is_documented(kind: str) -> None:
    found = KINDS[kind]
    assert found.name == kind
    assert found.doc.endswith(".")
    assert found.usage.startswith(kind)


@each_kind
def test_everything_arrives_in_order(kind: str, receiver: Receiver) -> None:
    """Hostile texts and large events break nothing of what comes before or after them."""
    receiver.start()
    sink = opened(kind, receiver)
    sink.write([event(f"first-{HOSTILE}", HOSTILE), alert(f"second {HOSTILE}", title=HOSTILE)])
    sink.write([count(f"third-{HOSTILE}")])
    sink.write([loss(3_333_333), event("fourth" + "x" * 100_000), event("fifth" + "\n" * 100_000)])
    sink.write([event(f"number-{number}-") for number in range(1200)])
    close_all([sink])
    units = receiver.await_units(1206)
    marks = ["first-a", "second a", "third-a", "3333333", "fourthxxx", "fifth"]
    marks += [f"number-{number}-" for number in range(1200)]
    assert [mark in unit for mark, unit in zip(marks, units, strict=True)] == [True] * 1206
    assert sink.dropped == {}


@each_kind
def test_gets_alerts_and_losses_and_what_is_asked_for(kind: str, receiver: Receiver) -> None:
    receiver.start()
    items = [event("the-event"), count("the-event"), alert("the-alert"), loss(77)]
    for what, with_event in (("", KINDS[kind].takes_events), ("all@", True), ("alerts@", False)):
        before = len(receiver.units())
        sink = opened(kind, receiver, what)
        sink.write(items)
        close_all([sink])
        found = receiver.await_units(before + 2 + 2 * with_event)[before:]
        assert ["the-event" in unit for unit in found] == [True] * 2 * with_event + [
            False,
            False,
        ]


@each_kind
def test_a_receiver_that_hangs_holds_nobody_up(
    kind: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(queue, "_PATIENCE", 0.3)
    receiver.hang()
    sink = opened(kind, receiver)
    size = 5000 if kind == "syslog" else 100_000  # its messages are cut
    items = [event("x" * size)] * (2 * queue.ROOM // size)
    start = time.monotonic()
    sink.write(items)
    assert 0 < sink.dropped["events"] < len(items)
    sink.write(items[:100])
    sink.write([alert("still finds room")] * 3)
    assert "alerts" not in sink.dropped
    assert time.monotonic() - start < 2
    start = time.monotonic()
    close_all([sink])
    assert time.monotonic() - start < 2
    assert sink.dropped["alerts"] == 3
    assert sink.dropped["events"] > len(items) // 2
    told = capsys.readouterr().err
    assert told.count("dropped") == 1
    assert f"etracee: {sink.name} has a full queue, dropped so far: " in told


@each_kind
def test_a_receiver_that_comes_back_gets_what_waited(
    kind: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.start()
    sink = opened(kind, receiver)
    sink.write([alert("before")])
    receiver.await_units(1)
    receiver.stop()
    sink.reopen()
    sink.write([alert("meanwhile-1"), alert("meanwhile-2")])
    told = ""

    def was_told() -> bool:
        nonlocal told
        told += capsys.readouterr().err
        return "trying again" in told

    until(was_told, "a note on stderr")
    receiver.start()
    sink.write([alert("after")])
    units = receiver.await_units(4)
    close_all([sink])
    marks = ["before", "meanwhile-1", "meanwhile-2", "after"]
    assert [mark in unit for mark, unit in zip(marks, units, strict=True)] == [True] * 4
    assert sink.dropped == {}
    told += capsys.readouterr().err
    assert told.count("trying again") == told.count("takes messages again") == 1
    assert "of-the-url" not in told


@each_kind
def test_a_receiver_that_stays_away_is_waited_for_shortly(
    kind: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_PATIENCE", 1.0)
    receiver.start()
    sink = opened(kind, receiver)
    receiver.stop()
    sink.reopen()
    sink.write([alert("lost"), loss(1), loss(2)])
    start = time.monotonic()
    close_all([sink])
    assert time.monotonic() - start < 3
    assert sink.dropped == {"alerts": 1, "losses": 2}
    receiver.start()
    assert receiver.units() == []


@each_kind
def test_a_sink_that_got_nothing_closes(kind: str, receiver: Receiver) -> None:
    receiver.start()
    sink = opened(kind, receiver)
    close_all([sink])
    assert receiver.units() == []


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    texts = {
        "jsn:x": "unknown word 'jsn' (did you mean 'json'?)",
        "alert@json:x": "unknown word 'alert' (did you mean 'alerts'?)",
        "queue": "unknown word 'queue' (there are journald, json,",
        "json": "json needs a target (write json:FILE)",
        "webhook:": "webhook needs a target (write webhook:URL)",
        "text:/proc/none/x": "cannot write /proc/none/x: No such file or directory",
        f"json:{tmp_path}": f"cannot write {tmp_path}: Is a directory",
        "webhook:siem.example.org/hook": "is no URL of http or https (such as https://",
        "webhook:https://siem.example.org:70000/": "is no URL",
        "webhook:https://siem..example/": "is no URL",
        "webhook:https://x/\nHost: y": "characters that no URL has",
        "webhook:https://me:secret@x/": "would be seen by every process (sign with",
        "syslog:log.example.org:http": "is no HOST:PORT (such as",
        "syslog:2001:db8::1": "is no HOST:PORT",
        f"journald:{tmp_path}/none": "no journal listens on",
        f"syslog:{tmp_path}/none": "(start rsyslog or journald, or name",
    }
    with pytest.raises(ProblemsError) as caught:
        open_sinks(texts)
    assert caught.value.code == 2
    lines = str(caught.value).splitlines()
    assert [part in line for part, line in zip(texts.values(), lines, strict=True)] == [True] * 16


def test_a_missing_daemon_is_the_hosts_fault(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        open_sinks([f"journald:{tmp_path}/none"])
    assert caught.value.code == 3
