"""Thresholds, sequences, many rules and `--alerts-only`, on what really happens."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from kernel_run import Etracee, Event, Run, script

QUIET = {"events": {"exit": {}}}


def write_rules(directory: Path, *rules: dict[str, Any]) -> list[str]:
    path = directory / "rules.yaml"
    path.write_text(json.dumps({"rules": rules}))
    return ["--rules", str(path)]


def alerts(run: Run) -> list[Event]:
    return [item for item in run.items if item["type"] == "alert"]


DROPPER = {
    "id": "dropper",
    "title": "Written, made executable, run",
    "output": "{w.comm} wrote {w.filename}, {comm} ran it",
    "sequence": {
        "within": "60s",
        "by": ["uid"],
        "steps": [
            {"as": "w", "events": ["open", "openat"], "condition": "writes"},
            {"events": ["chmod", "fchmodat"], "condition": "filename = $w.filename"},
            {"events": ["execve"], "condition": "filename = $w.filename and not ret < 0"},
        ],
    },
}


def test_a_sequence_over_processes(etracee: Etracee, work: Path) -> None:
    """Only the file that went through all three steps, in their order, is told of."""
    text = f"""
os.chdir({str(work)!r})
def write(name): open(name, "w").write("#!/bin/sh\\n")
def run(name):
    child = os.fork()
    if child == 0:
        try: os.execv(name, [name])
        except OSError: os._exit(1)
    os.waitpid(child, 0)
write("./dropped"), write("./other"), write("./early")
os.chmod("./later", 0o755) if os.path.exists("./later") else write("./later")
os.system("chmod +x ./dropped")
os.chmod("./early", 0o600)
run("./early"), run("./dropped"), run("./later")
"""
    run = etracee.run(QUIET, *script(work, text), options=write_rules(work, DROPPER))
    (alert,) = alerts(run)
    assert [event["type"] for event in alert["events"]] == ["openat", "fchmodat", "execve"]
    assert [event["filename"] for event in alert["events"]] == ["./dropped"] * 3
    assert len({event["pid"] for event in alert["events"]}) == 3
    first, _, last = alert["events"]
    assert alert["message"] == f"{first['comm']} wrote ./dropped, {last['comm']} ran it"
    assert alert["key"] == {"uid": 0}
    assert alert["timestamp"] == last["timestamp"]


def test_a_threshold_for_each_key(etracee: Etracee, work: Path) -> None:
    """Five of a port are needed, twelve to one port are two alerts, four to another none."""
    with socket.socket() as taken, socket.socket() as other:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        other.bind(("127.0.0.1", 0))
        many, few = taken.getsockname()[1], other.getsockname()[1]
        text = f"""
for port in ({many},) * 8 + ({few},) * 4 + ({many},) * 4:
    with socket.socket() as client: client.connect_ex(("127.0.0.1", port))
"""
        rule = {
            "id": "guessing",
            "title": "Refused",
            "events": ["connect"],
            "condition": "addr in 127.0.0.0/8 and ret = ECONNREFUSED",
            "threshold": {"count": 5, "within": "1m", "by": ["addr", "port"]},
        }
        limited = {**rule, "id": "limited", "at_most": {"count": 1, "within": "1m", "by": ["addr"]}}
        options = write_rules(work, rule, limited)
        run = etracee.run(QUIET, *script(work, text), options=options)
    found = [(alert["rule"], alert["key"], alert["count"]) for alert in alerts(run)]
    key = {"addr": "127.0.0.1", "port": many}
    assert sorted(found, key=str) == [("guessing", key, 5)] * 2 + [("limited", key, 5)]
    assert all(len(alert["events"]) == 5 for alert in alerts(run))
    assert "held back by at_most, limited: 1\n" in run.stderr


CONDITIONS = (
    "filename = {work}/equal-{n}",
    "filename startswith {work}/prefix-{n}/",
    "filename contains /part-{n}-",
    "filename matches '/word[a-z]*-{n}$'",
    "filename endswith /end-{n}",
    "filename like {work}/*/glob-{n}-?",
)
NAMES = (
    "equal-{n}",
    "prefix-{n}/x",
    "x/part-{n}-x",
    "wordy-{n}",
    "x/end-{n}",
    "x/glob-{n}-z",
)


@pytest.mark.parametrize("options", [[], ["--alerts-only"]])
def test_many_rules(etracee: Etracee, work: Path, options: list[str]) -> None:
    """Of hundreds of rules, each name fires its own, however the kernel and Python look it up."""
    kinds = len(CONDITIONS)
    rules = [
        {
            "id": f"r{n}",
            "title": "Opened",
            "events": ["openat"],
            "condition": CONDITIONS[n % kinds].format(work=work, n=n),
        }
        for n in range(300)
    ]
    chosen = [*range(0, 300, 17), *range(290, 300)]
    names = [NAMES[n % kinds].format(n=n) for n in chosen]
    text = f"""
for name in {names}:
    libc.openat(-100, os.fsencode({str(work)!r}) + b"/" + name.encode(), 0)
    libc.openat(-100, os.fsencode({str(work)!r}) + b"/" + name.encode() + b"~", 0)
"""
    command = script(work, text)
    run = etracee.run(
        {"events": {"openat": {}}}, *command, options=[*options, *write_rules(work, *rules)]
    )
    fired = [(alert["rule"], alert["events"][0]["filename"]) for alert in alerts(run)]
    wanted = [(f"r{n}", f"{work}/{name}") for n, name in zip(chosen, names, strict=True)]
    tilde = [(rule, name + "~") for rule, name in wanted]
    also = [pair for pair in tilde if int(pair[0][1:]) % kinds in (1, 2)]
    assert sorted(fired) == sorted([*wanted, *also])
    assert bool(run.events) is not bool(options), "events are delivered unless only alerts are"


def test_what_no_rule_needs_stays_in_the_kernel(etracee: Etracee, work: Path) -> None:
    rule = {
        "id": "secret",
        "title": "Opened",
        "events": ["$open"],
        "condition": f"filename = {work}/secret and not comm = nobody",
    }
    text = f"""
for turn in range(500): libc.openat(-100, b"/nowhere/%d" % turn, 0)
libc.openat(-100, {bytes(work / "secret")!r}, 0)
"""
    options = [*write_rules(work, rule), "--alerts-only"]
    run = etracee.run("minimal", *script(work, text), options=options)
    assert [alert["rule"] for alert in alerts(run)] == ["secret"]
    assert run.events == []
    assert run.summary["openat"].sent == 1
    assert run.summary["openat"].filtered >= 500
    assert "execve" not in run.summary, "no rule looks at it, so it has no hook"


@pytest.mark.parametrize("options", [[], ["--alerts-only"]])
@pytest.mark.parametrize("test", ["endswith .zz", "contains /zz", "matches '/y[.]zz$'"])
def test_what_a_cut_leaves_open_is_counted(
    etracee: Etracee, work: Path, test: str, options: list[str]
) -> None:
    """The rule does not fire on what it cannot see, and the summary says so."""
    rule = {"id": "ends", "title": "Ends", "events": ["openat"], "condition": f"filename {test}"}
    profile = {"events": {"openat": {}}, "options": {"max_string": 16}}
    text = """
open("/proc/self/comm", "w").write("cut-names")
for turn in range(7): libc.openat(-100, b"/nowhere" + b"/x" * 20 + b"/zz/y.zz", 0)
"""
    options = [*write_rules(work, rule), *options, "--comm", "cut-names"]
    run = etracee.run(profile, *script(work, text), options=options)
    assert alerts(run) == []
    told = [line for line in run.stderr.splitlines() if "left open" in line or "was cut" in line]
    assert len(told) == 1
    assert told[0].endswith(": 7")


@pytest.mark.parametrize("limit", [16, 64, 4096])
def test_more_texts_than_are_compared_one_by_one(etracee: Etracee, work: Path, limit: int) -> None:
    """However short or long what is captured, the program is one that the kernel takes."""
    rules = [
        {
            "id": f"{kind}-{n}",
            "title": "Opened",
            "events": ["openat"],
            "condition": f"filename {form.format(n=n)}",
        }
        for kind, form in (
            ("is", "= /n{n}"),
            ("begins", "startswith /p{n}/"),
            ("ends", "endswith .e{n}"),
            ("like", "like /*x{n}y*z"),
        )
        for n in range(200)
    ]
    profile = {"events": {"openat": {}}, "options": {"max_string": limit}}
    text = 'for name in (b"/n150", b"/p7/x", b"/q.e99", b"/ax33yaz"): libc.openat(-100, name, 0)'
    options = [*write_rules(work, *rules), "--alerts-only"]
    run = etracee.run(profile, *script(work, text), options=options)
    assert {alert["rule"] for alert in alerts(run)} == {"is-150", "begins-7", "ends-99", "like-33"}
