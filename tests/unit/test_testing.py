"""`etracee test`: tests and scenarios of rule files, and what is said of those that fail."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tested_rules import Test, event, passes, rule, scenario

from etracee.problems import ExitCode


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
