"""`etracee test`: tests and scenarios of rule files, and what is said of those that fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from etracee.cli import main
from etracee.problems import ExitCode


@dataclass(frozen=True)
class Told:
    """How `etracee test` ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def details(self) -> list[str]:
        """Return the lines below the problems."""
        return [line.strip() for line in self.err.splitlines() if line.startswith(" ")]


Test = Callable[..., Told]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Test:
    """Return the function that tests a file with these rules and keys."""

    def run(*rules: dict[str, Any], options: tuple[str, ...] = (), **keys: Any) -> Told:
        file = tmp_path / "rules.yaml"
        file.write_text(json.dumps({"rules": rules, **keys}))
        with pytest.raises(SystemExit) as ended:
            main(["test", *options, str(file)])
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Told(ended.value.code, told.out, told.err)

    return run


def rule(condition: str, *tests: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "title": "Rule",
        "events": ["openat"],
        "condition": condition,
        "tests": tests,
        **keys,
    }


def event(fires: bool, **values: Any) -> dict[str, Any]:
    return {"type": "openat", **values, "fires": fires}


def series(alerts: int, *events: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"events": [{"type": "openat", **each} for each in events], "alerts": alerts, **keys}


def passes(told: Told) -> bool:
    assert told.code in (ExitCode.OK, ExitCode.WRONG_INPUT)
    assert ("0 failed" in told.out) == (told.code == ExitCode.OK) == (told.err == "")
    return told.code == ExitCode.OK


@pytest.mark.parametrize(
    ("condition", "values", "answer"),
    [
        ("filename = /a", {"filename": "/a"}, True),
        ("filename = /a", {"filename": "/b"}, False),
        ("filename = /a", {}, False),
        ("not filename = /a", {}, True),
        ("filename != /a", {}, False),
        ("ret < 0", {}, False),
        ("ret < 0", {"ret": -2}, True),
        ("ret = ENOENT", {"ret": -2}, True),
        ("uid = 0", {}, False),
        ("uid = 0", {"uid": "0"}, True),
        ("flags has O_CREAT", {}, False),
        ("flags has O_CREAT", {"flags": "O_WRONLY|O_CREAT"}, True),
        ("writes", {"flags": "O_RDWR"}, True),
        ("writes", {"flags": "O_RDONLY"}, False),
        ("mode has 04000", {"flags": "O_CREAT", "mode": "04755"}, True),
        ("mode has 04000", {"flags": "O_RDONLY", "mode": "04755"}, False),
        ("type = openat", {}, True),
        ("filename exists", {"filename": None}, False),
        ("filename = 'a\\xff'", {"filename": "a�", "raw": {"filename": "Yf8="}}, True),
        ("filename = 'a\\xff'", {"filename": "a�"}, False),
    ],
)
def test_fires_as_the_values_say(
    run: Test, condition: str, values: dict[str, Any], answer: bool
) -> None:
    """A value that is not given is missing, also one that every record has."""
    assert passes(run(rule(condition, event(answer, **values))))
    assert not passes(run(rule(condition, event(not answer, **values))))


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("cmdline = 'ls -l'", {"argv": ["ls", "-l"]}),
        ("arg1 = -l", {"argv": ["ls", "-l"]}),
        ("cmdline = other", {"argv": ["ls", "-l"], "cmdline": "other"}),
        ("argv contains -l", {"argv": ["ls", "-l"]}),
    ],
)
def test_parts_come_out_of_the_whole(run: Test, condition: str, values: dict[str, Any]) -> None:
    test = {"type": "execve", **values, "fires": True}
    assert passes(run(rule(condition, test, events=["execve"])))


def test_parts_of_an_address_are_given_by_themselves(run: Test) -> None:
    condition = "family = AF_INET and addr in 10.0.0.0/8 and port = 22"
    values = {"family": "AF_INET", "addr": "10.1.2.3", "port": 22}
    assert passes(
        run(rule(condition, {"type": "connect", **values, "fires": True}, events=["connect"]))
    )


def test_an_event_as_it_is_printed(run: Test) -> None:
    printed = {
        "timestamp": "1703123456789012345",
        "pid": 1234,
        "ppid": 1000,
        "uid": 0,
        "gid": 0,
        "syscall_id": 257,
        "comm": "cat",
        "filename": "/etc/shadow",
        "human_time": "2023-12-21 10:30:56.789",
        "tid": 1234,
        "ret": 3,
        "dfd": "AT_FDCWD",
        "flags": "O_RDONLY|O_CLOEXEC",
        "mode": None,
    }
    condition = "comm = cat and filename = /etc/shadow and dfd = AT_FDCWD and flags has O_CLOEXEC"
    assert passes(run(rule(condition, event(True, **printed))))


def test_fields_with_dots_are_given_nested(run: Test) -> None:
    condition = "parent.comm = nginx and comm != nginx"
    assert passes(run(rule(condition, event(True, parent={"comm": "nginx"}, comm="sh"))))
    assert passes(run(rule(condition, event(False, parent={"comm": "nginx"}, comm="nginx"))))
    assert passes(run(rule(condition, event(False, parent={"comm": None}, comm="sh"))))
    raw = {"parent": {"comm": "/w=="}}
    told = run(rule(r"parent.comm = '\xff'", event(False, parent={"comm": "\ufffd"}, raw=raw)))
    assert "should stay quiet" in told.err
    told = run(rule("parent.comm = nginx", event(True, parent={"comm": "bash"})))
    assert "[parent.comm: bash]" in told.details[0]


def test_a_cut_value_leaves_the_answer_open(run: Test) -> None:
    """As in a run: what may lie behind the cut counts as missing."""
    values = {"filename": "/very/long", "truncated": ["filename"]}
    assert passes(run(rule("filename endswith long", event(False, **values))))
    assert passes(run(rule("filename startswith /very", event(True, **values))))
    told = run(rule("filename endswith long", event(True, **values)))
    assert told.details[-1] == "a cut value leaves the answer open, so it counts as no"


def test_silence_is_explained_clause_by_clause(run: Test, tmp_path: Path) -> None:
    condition = (
        "filename in (/a, /b) and not comm in (sshd, login) and (uid = 0 or flags has O_RDWR)"
    )
    told = run(rule(condition, event(True, filename="/a", comm="sshd", uid=7)))
    first, *details = told.err.splitlines()
    assert told.code == ExitCode.WRONG_INPUT
    place, _, message = first.partition(" ")
    assert place.startswith(f"{tmp_path}/rules.yaml:1:")
    assert message == "r should fire on this openat, but does not"
    assert details == [
        "    true  filename in (/a, /b)    [filename: /a]",
        "    false not comm in (sshd, login)    [comm: sshd]",
        "    false (uid = 0 or flags has O_RDWR)",
        "      false uid = 0    [uid: 7]",
        "      false flags has O_RDWR    [flags is missing]",
    ]


def test_an_exception_is_one_of_the_clauses(run: Test) -> None:
    exceptions = [{"name": "known", "condition": "comm = backup and uid = 0"}]
    values = {"filename": "/a", "comm": "backup", "uid": 0}
    told = run(rule("filename = /a", event(True, **values), exceptions=exceptions))
    assert told.details == [
        "true  filename = /a    [filename: /a]",
        "false not (comm = backup and uid = 0)    [comm: backup, uid: 0]",
    ]


def test_an_alert_that_should_not_be_shows_its_message(run: Test) -> None:
    values = {"filename": "/a", "comm": "x\n\x1b[31m"}
    told = run(rule("filename = /a", event(False, **values), output="{comm} opened {filename}"))
    assert "r should stay quiet on this openat, but fires\n" in told.err
    assert told.details == ["alert of r on event 1 (openat): x\\n\\x1b[31m opened /a"]


def test_nothing_of_a_test_steers_the_terminal(run: Test) -> None:
    told = run(rule("comm = 'a\\x1b'", event(True, comm="\x1b[31m\nb", filename="\r")))
    assert told.err.replace("\n", "").isprintable()
    assert len(told.err.splitlines()) == 2


def test_many_rules_on_one_event(run: Test) -> None:
    """So many that the decoder looks candidates up instead of trying one after the other."""
    rules = [
        rule(
            f"filename = /{n}",
            event(True, filename=f"/{n}"),
            event(False, filename="/"),
            id=f"r{n}",
        )
        for n in range(40)
    ]
    assert passes(run(*rules))
    told = run(*rules, rule("filename = /x", event(True, filename="/y"), id="last"))
    assert "40 rules" not in told.out and "80 tests passed, 1 failed" in told.out
    assert told.details == ["false filename = /x    [filename: /y]"]


THRESHOLD = {"count": 3, "within": "10s", "by": ["uid", "comm"]}


@pytest.mark.parametrize(
    ("alerts", "keys"),
    [
        (0, {"repeat": 2}),
        (1, {"repeat": 3}),
        (1, {"repeat": 5}),
        (2, {"repeat": 6}),
        (1, {"repeat": 3, "every": "5s"}),
        (0, {"repeat": 30, "every": "5001ms"}),
    ],
)
def test_threshold(run: Test, alerts: int, keys: dict[str, Any]) -> None:
    """It fires on the Nth within the time, then counts anew."""
    one = {"filename": "/a", "uid": 0, "comm": "c"}
    assert passes(run(rule("filename = /a", series(alerts, one, **keys), threshold=THRESHOLD)))
    told = run(rule("filename = /a", series(alerts + 1, one, **keys), threshold=THRESHOLD))
    found = {0: "no alert", 1: "1 alert", 2: "2 alerts"}[alerts]
    assert f"r gives {found} on these {keys['repeat']} events, {alerts + 1} expected" in told.err
    repeat = keys["repeat"]
    assert told.details[alerts:] == [
        f"{repeat} of {repeat} events match",
        "needed: 3 events within 10s all of one uid, comm",
    ]


def test_threshold_explains_what_does_not_match(run: Test) -> None:
    events = [{"filename": "/a"}, {"filename": "/b"}, {"filename": "/a"}]
    distinct = {"count": 2, "within": "1m", "distinct": "pid"}
    told = run(rule("filename = /a", series(1, *events), threshold=distinct))
    assert told.details == [
        "2 of 3 events match",
        "needed: 2 values of pid within 60s",
        "event 2 (openat):",
        "false filename = /a    [filename: /b]",
    ]


def test_timestamps_order_events(run: Test) -> None:
    """The rule sees them in the order of their time, whatever order they are written in."""
    steps = {"within": "1s", "steps": [
        {"as": "a", "events": ["openat"], "condition": "filename = /a"},
        {"events": ["openat"], "condition": "filename = /b and uid = $a.uid"},
    ]}  # fmt: skip
    late = {"filename": "/b", "uid": 1, "timestamp": "1703123456789012345"}
    early = {"filename": "/a", "uid": 1, "timestamp": "1703123456000000000"}
    earlier = {**early, "timestamp": "1703123455000000000"}
    base = {"id": "r", "title": "Rule", "sequence": steps}
    assert passes(run({**base, "tests": [series(1, late, early), series(0, late, earlier)]}))


SEQUENCE = {
    "id": "dropper",
    "title": "Dropped",
    "output": "{w.comm} wrote {w.filename}, {comm} ran it",
    "sequence": {
        "within": "60s",
        "by": ["uid"],
        "steps": [
            {"as": "w", "events": ["$open"], "condition": "writes"},
            {"events": ["$chmod"], "condition": "filename = $w.filename and ret = 0"},
            {"events": ["execve"], "condition": "filename = $w.filename"},
        ],
    },
}
WRITE = {"type": "openat", "filename": "/tmp/a", "flags": "O_WRONLY", "uid": 0, "comm": "sh"}
CHMOD = {"type": "fchmodat", "filename": "/tmp/a", "mode": "0755", "ret": 0, "uid": 0}
RUN = {"type": "execve", "filename": "/tmp/a", "ret": 0, "uid": 0, "comm": "sh"}


def sequence(alerts: int, *events: dict[str, Any]) -> dict[str, Any]:
    return {**SEQUENCE, "tests": [series(alerts, *events)]}


def test_sequence(run: Test) -> None:
    other = {"type": "connect", "port": 22}
    assert passes(run(sequence(1, WRITE, other, CHMOD, RUN)))
    assert passes(run(sequence(0, WRITE, RUN, CHMOD)))
    assert passes(run(sequence(0, WRITE, CHMOD, {**RUN, "uid": 1})))
    told = run(sequence(0, WRITE, CHMOD, RUN))
    assert told.details == [
        "alert of dropper on event 3 (execve): sh wrote /tmp/a, sh ran it",
    ]


def test_steps_and_fields_with_dots(run: Test) -> None:
    """`{x.y}` is the field y of the step x where there is such a step, else the field x.y."""
    steps = [
        {"as": "a-b", "events": ["openat"]},
        {"as": "a_b", "events": ["openat"], "condition": "parent.comm = $a-b.comm"},
        {"events": ["openat"], "condition": "comm != $a_b.parent.comm"},
    ]
    told = run(
        {
            "id": "r",
            "title": "Rule",
            "sequence": {"within": "1s", "by": ["parent.comm"], "steps": steps},
            "output": "{parent.comm} {a-b.comm} {a_b.parent.comm}".replace("a-b", "a_b"),
            "tests": [
                series(
                    0,
                    {"type": "openat", "comm": "x", "parent": {"comm": "x"}},
                    {"type": "openat", "comm": "y", "parent": {"comm": "x"}},
                    {"type": "openat", "comm": "z", "parent": {"comm": "x"}},
                )
            ],
        }
    )
    assert told.details == ["alert of r on event 3 (openat): x y x"]


@pytest.mark.parametrize(
    ("events", "details"),
    [
        (
            (WRITE, {**CHMOD, "filename": "/tmp/b"}, RUN),
            [
                "step 1 (w): event 1 (openat) fits",
                "step 2: no event fits",
                "event 2 (fchmodat):",
                "false filename = $w.filename    [filename: /tmp/b]",
                "true  ret = 0    [ret: 0]",
            ],
        ),
        (
            (WRITE, {**CHMOD, "uid": 1}, RUN),
            [
                "step 1 (w): event 1 (openat) fits",
                "step 2: event 2 (fchmodat) fits",
                "step 3: event 3 (execve) fits",
                "needed: within 60s all of one uid, in this order",
            ],
        ),
        (
            (CHMOD, RUN),
            [
                "step 1 (w): no event fits",
                "its events are open, openat, openat2, creat, io_uring_openat, io_uring_openat2",
            ],
        ),
    ],
)
def test_sequence_explains_how_far_it_got(
    run: Test, events: tuple[dict[str, Any], ...], details: list[str]
) -> None:
    assert run(sequence(1, *events)).details == details


def test_what_at_most_holds_back_is_said(run: Test) -> None:
    one = {"filename": "/a"}
    limit = {"count": 2, "within": "1m"}
    assert passes(run(rule("filename = /a", series(2, one, repeat=5), at_most=limit)))
    told = run(rule("filename = /a", series(5, one, repeat=5), at_most=limit))
    assert told.details[-1] == "held back by at_most: 3"


def scenario(*alerts: str, **keys: Any) -> dict[str, Any]:
    events = [{"type": "openat", "filename": "/a"}, {"type": "openat", "filename": "/b", "uid": 0}]
    return {"name": "scene", "events": events, "alerts": alerts, **keys}


RULES = (
    rule("filename = /a", id="first"),
    rule("filename = /b", id="second"),
    rule("uid = 0", id="third"),
)


@pytest.mark.parametrize("order", [("second", "third"), ("third", "second")])
def test_scenario(run: Test, order: tuple[str, ...]) -> None:
    """The order of the events counts; alerts of one event have none."""
    assert passes(run(*RULES, scenarios=[scenario("first", *order)]))
    told = run(*RULES, scenarios=[scenario(*order, "first")])
    expected = ", ".join((*order, "first"))
    assert (
        f"scenario 'scene': the alerts are first, second, third (expected: {expected})" in told.err
    )


def test_scenario_repeats(run: Test) -> None:
    once = ("first", "second", "third")
    assert passes(run(*RULES, scenarios=[scenario(*once, *once, repeat=2)]))
    assert not passes(run(*RULES, scenarios=[scenario(*once, repeat=2)]))


def test_scenario_explains_the_missing_alert(run: Test) -> None:
    silent = rule("filename = /c", id="silent")
    told = run(*RULES, silent, scenarios=[scenario("first", "second", "third", "silent")])
    assert told.details == [
        "alert of first on event 1 (openat): Rule",
        "alert of second on event 2 (openat): Rule",
        "alert of third on event 2 (openat): Rule",
        "silent:",
        "event 1 (openat):",
        "false filename = /c    [filename: /a]",
    ]


def test_tests_of_other_files_are_not_run(run: Test, tmp_path: Path) -> None:
    """A file may adjust the rules of those that it extends, whose tests then need not pass."""
    wrong = {"rules": [rule("filename = /a", event(True, filename="/b"), id="base")]}
    wrong["scenarios"] = [scenario("base", "base")]
    (tmp_path / "base.yaml").write_text(json.dumps(wrong))
    own = rule("filename = /b", event(True, filename="/b"))
    adjust = {"base": {"exceptions": [{"name": "x", "condition": "uid = 0"}]}}
    told = run(own, extends=["./base.yaml"], adjust=adjust, scenarios=[scenario("base", "r")])
    assert passes(told)
    assert told.out == "1 rules, 2 tests passed, 0 failed\n"
    assert not passes(run(own, extends=["./base.yaml"], options=(str(tmp_path / "base.yaml"),)))


def test_only_some_rules(run: Test) -> None:
    good = rule("filename = /a", event(True, filename="/a"), id="good")
    bad = rule("filename = /a", event(False, filename="/a"), id="bad")
    told = run(good, bad, options=("--rule", "good"), scenarios=[scenario("bad")])
    assert told.out == "1 rules, 1 tests passed, 0 failed\n"
    assert not passes(run(good, bad))
    told = run(good, bad, options=("--rule", "goood"))
    assert told.err == "--rule: no rule 'goood' is in these files (did you mean 'good'?)\n"
    assert told.code == ExitCode.WRONG_INPUT


def test_rules_without_tests_are_named(run: Test) -> None:
    told = run(
        rule("uid = 0", id="a"), rule("uid = 0", id="b"), rule("uid = 0", event(True, uid=0))
    )
    assert told.out == "without tests: a, b\n3 rules, 1 tests passed, 0 failed\n"


def test_live_needs_root(run: Test, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = run(rule("uid = 0", trigger="true"), options=("--live",))
    assert told.code == ExitCode.HOST
    assert told.err == "rules are attached to the kernel by root only (use sudo)\n"
