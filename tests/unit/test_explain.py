"""What is explained of a profile and its rules: decisions, captures, sizes, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hostc
import pytest
from explained import EXEC, explained, only_decision, reasons, rule

from etracee.catalog import load_catalog
from etracee.explain.model import Clause
from etracee.plan import Request, make_plan
from etracee.source_set import load_source_set

LONG = "x" * 1500
SENT_ANYWAY = "the event is sent anyway, and not searched before"
CASES: list[tuple[str, Mapping[str, Any], list[Mapping[str, Any]], str | None]] = [
    (
        "never",
        {},
        [rule("uid < 1000 and comm = a and uid >= 1000")],
        "`uid < 1000` and `uid >= 1000` exclude each other",
    ),
    ("may", {}, [rule("uid < 1000 and comm = a or uid >= 1000")], None),
    ("name", {}, [rule("comm = a and comm in (b, c)")], "exclude each other"),
    ("name again", {}, [rule("comm = a and comm in (b, a)")], None),
    ("macro", {"macros": {"m": "not comm = a"}}, [rule("$m and comm = a")], "exclude each other"),
    ("alone", {}, [rule("uid < 0")], "`uid < 0` is never true"),
    (
        "all alternatives",
        {},
        [rule("uid = 1 and uid = 2 or comm = a and comm != a")],
        "can never fire: `uid = 1`",
    ),
    (
        "exception",
        {},
        [rule("comm = a", exceptions=[{"name": "x", "condition": "comm in (a, b)"}])],
        "can never fire",
    ),
    (
        "near exception",
        {},
        [rule("comm = c", exceptions=[{"name": "x", "condition": "comm in (a, b)"}])],
        None,
    ),
    ("type", {}, [rule("type = openat")], "can never fire: none of its events"),
    (
        "filter",
        {"filter": "uid >= 1000"},
        [rule("uid = 0")],
        "can never fire behind the filters: `uid >= 1000` and `uid = 0`",
    ),
    ("near filter", {"filter": "uid >= 1000"}, [rule("uid = 1000")], None),
    (
        "own filter",
        {
            "events": {
                **EXEC,
                "setuid": {"filter": "uid = 1 and uid = 2"},
                "setreuid": {},
                "setresuid": {},
            }
        },
        [],
        "no event setuid can pass the filters",
    ),
    ("comm", {}, [rule("comm = a-name-of-17-byte")], "comm holds at most 15 bytes"),
    ("near comm", {}, [rule("comm like *a-name-of-15-by*")], None),
    (
        "element",
        {},
        [rule(f"argv contains {LONG}")],
        "argv is captured up to 1023 bytes, the value has 1500: this is never true",
    ),
    ("cmdline", {}, [rule(f"cmdline startswith {LONG}")], "cmdline is captured up to 1023 bytes"),
    ("near element", {"options": {"max_argv": 2048}}, [rule(f"argv contains {LONG}")], None),
    ("end", {}, [rule("filename endswith .so")], "of filename, 256 bytes are captured"),
    ("near end", {}, [rule("filename startswith /a")], None),
    ("whole end", {"options": {"max_string": 4096}}, [rule("filename endswith .so")], None),
    ("end of comm", {}, [rule("comm endswith d")], None),
    ("end of path", {}, [rule("path endswith .so")], None),
    ("regex", {}, [rule("filename matches 'x$'")], "`filename matches 'x$'`: of filename"),
    ("near regex", {}, [rule("filename matches x")], None),
    ("glob", {}, [rule("filename like *x")], "of filename, 256 bytes"),
    ("near glob", {}, [rule("filename like x*")], None),
    ("end of vector", {}, [rule("cmdline endswith x")], "raise options.max_argv"),
    ("end in filter", {"filter": "filename endswith x"}, [], "of filename, 256 bytes"),
    (
        "siblings",
        {"events": {"openat": {}}},
        [],
        "the profile watches openat without open, openat2, creat",
    ),
    ("all siblings", {"events": {name: {} for name in load_catalog().families["open"]}}, [], None),
    (
        "siblings of a rule",
        {},
        [rule("uid = 0", "openat")],
        "rule r0 looks at openat without open, openat2, creat",
    ),
    ("family", {}, [rule("uid = 0", "$open")], None),
    (
        "one sibling",
        {"events": {"setrlimit": {}}},
        [],
        "the profile watches setrlimit without prlimit64, which does the same ($rlimit names",
    ),
    (
        "siblings by several ways",
        {"events": {"prlimit64": {}}},
        [],
        "the profile watches prlimit64 without setrlimit, getrlimit, which do the same",
    ),
    ("sibling that is off", {"events": {"$open": {}, "creat": "off"}}, [], None),
    (
        "siblings within a family",
        {"events": {"epoll_wait": {}}},
        [],
        "watches epoll_wait without epoll_pwait, epoll_pwait2, which do the same",
    ),
    *(
        (f"no sibling of {name}", {"events": {name: {}}}, [], None)
        for name in (
            "swapon",
            "capset",
            "add_key",
            "setsockopt",
            "epoll_ctl",
            "process_madvise",
            "mount",
            "fsync",
            "file_setattr",
        )
    ),
    (
        "requests beside all calls",
        {"events": {"$syscalls": {}}},
        [],
        "the profile watches $syscalls without io_uring_setxattr, io_uring_fsetxattr, ",
    ),
    (
        "key",
        {},
        [rule(threshold={"count": 5, "within": "1m", "by": ["pid"]})],
        "rule r0 keeps state for each pid",
    ),
    (
        "key of text",
        {},
        [rule(at_most={"count": 5, "within": "1m", "by": ["filename"]})],
        "10,000 at a time",
    ),
    ("key of few", {}, [rule(threshold={"count": 5, "within": "1m", "by": ["uid", "comm"]})], None),
    ("no key", {}, [rule(threshold={"count": 5, "within": "1m"})], None),
    ("some lack it", {}, [rule("flags has AT_EMPTY_PATH")], "execve lacks flags"),
]


@pytest.mark.parametrize(
    ("profile", "rules", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_warning_and_near_miss(
    tmp_path: Path,
    profile: Mapping[str, Any],
    rules: list[Mapping[str, Any]],
    said: str | None,
) -> None:
    warnings = explained(tmp_path, {"events": EXEC, **profile}, *rules).warnings
    told = [f"{warning.message} ({warning.hint})" for warning in warnings]
    if said is None:
        assert told == []
    else:
        assert any(said in text for text in told), told


def test_requests_beside_all_calls_are_told_once(tmp_path: Path) -> None:
    (warning,) = explained(tmp_path, {"events": {"$syscalls": {}}}).warnings
    assert "which do the same as some of it" in warning.message


def test_step_that_never_happens(tmp_path: Path) -> None:
    steps = [{"events": ["$execute"]}, {"events": ["$execute"], "condition": "uid = 1 and uid = 2"}]
    written = {"sequence": {"within": "1m", "steps": steps}}
    (warning,) = explained(tmp_path, {"events": EXEC}, written).warnings
    assert "since its step 2 never happens" in warning.message


def test_warning_has_its_place(tmp_path: Path) -> None:
    text = """
rules:
  - id: r
    title: R
    events: [$execute]
    condition: comm = a and uid > 7 and uid < 7
"""
    (tmp_path / "r.yaml").write_text(text)
    file = hostc.write_yaml(tmp_path / "p.yaml", {"name": "p", "events": EXEC})
    source = load_source_set(str(file), (str(tmp_path / "r.yaml"),), "x86_64")
    (warning,) = make_plan(source.profile, source.rules, Request(), source.catalog).warnings
    assert warning.where is not None
    assert (warning.where.line, warning.where.column) == (6, 29)


def test_step_named_as_fields_begin(tmp_path: Path) -> None:
    """The step wins where both could be meant, and that is said at its name."""
    steps = [{"as": "parent", "events": ["$execute"]}, {"events": ["$execute"]}]
    written = {"output": "{parent.filename}", "sequence": {"within": "1m", "steps": steps}}
    (warning,) = explained(tmp_path, {"events": EXEC}, written).warnings
    assert warning.message == "the step parent hides the field parent.comm in `output`"


def test_command_line_against_rule(tmp_path: Path) -> None:
    request = Request(filters=(("--uid", "uid in (1000)"),))
    (warning,) = explained(tmp_path, {"events": EXEC}, rule("uid = 0"), request=request).warnings
    assert "behind the filters" in warning.message


@pytest.mark.parametrize(
    ("condition", "text", "because"),
    [
        ("filename matches x", "filename matches x", "`matches` has no form in C"),
        ("path = /x", "path = /x", "path is put together in Python"),
        ("cmdline contains x", "cmdline contains x", "cmdline is taken out of argv in Python"),
        ("argv contains x", "argv contains x", "a search through a list of texts is more than"),
        (f"filename contains {'x' * 200}", f"filename contains {'x' * 200}", "a search for 200"),
        ("filename like *a*b*", "filename like *a*b*", "2 pieces between its stars"),
        (
            "uid = 0 or filename matches x",
            "uid = 0",
            "`filename matches x`, the other way to be true, is decided there",
        ),
        (
            "not (uid = 0 and filename matches x)",
            "uid = 0",
            "`filename matches x`, the other way to be true, is decided there",
        ),
    ],
)
def test_reason_for_userspace(tmp_path: Path, condition: str, text: str, because: str) -> None:
    request = Request(alerts_only=True)
    decision = only_decision(
        explained(tmp_path, {"events": EXEC}, rule(condition), request=request)
    )
    clause = next(clause for clause in decision.clauses if clause.text == text)
    assert clause.decided == "userspace"
    assert clause.because is not None
    assert clause.because.startswith(because)
    assert decision.decided == "userspace"


def test_delivered_event_is_not_searched(tmp_path: Path) -> None:
    profile, search = {"events": EXEC}, rule("uid = 0 and filename contains x")
    sent = only_decision(explained(tmp_path, profile, search))
    assert sent.decided == "kernel and userspace"
    assert reasons(sent)["filename contains x"] == SENT_ANYWAY
    held_back = explained(tmp_path, profile, search, request=Request(alerts_only=True))
    assert only_decision(held_back).decided == "kernel"


def test_searches_are_bounded(tmp_path: Path) -> None:
    condition = " or ".join(f"filename contains a{i}" for i in range(9))
    request = Request(alerts_only=True)
    said = reasons(
        only_decision(explained(tmp_path, {"events": EXEC}, rule(condition), request=request))
    )
    assert said["filename contains a8"] == "the kernel searches 2048 bytes of an event at most"


def test_earlier_step_is_a_reason(tmp_path: Path) -> None:
    steps = [
        {"as": "a", "events": ["$execute"], "condition": "uid = 0"},
        {"events": ["$execute"], "condition": "uid = 1 and pid = $a.pid"},
    ]
    (found,) = explained(
        tmp_path, {"events": EXEC}, {"sequence": {"within": "1m", "steps": steps}}
    ).rules
    assert [step.name for step in found.steps] == ["a", None]
    (decision,) = found.steps[1].decisions
    assert decision.clauses == (
        Clause("uid = 1", "kernel"),
        Clause("pid = $a.pid", "userspace", "it compares with the event of an earlier step"),
    )
    assert decision.decided == "kernel and userspace"
    assert found.state == "2 steps within 60 s"


def test_look_up_is_named(tmp_path: Path) -> None:
    names = ", ".join(f"/bin/{number}" for number in range(70))
    decision = only_decision(explained(tmp_path, {"events": EXEC}, rule(f"filename in ({names})")))
    assert decision.decided == "kernel"
    assert decision.clauses[0].because == "looked up in the trie of filename"


def test_rules_beyond_the_bits(tmp_path: Path) -> None:
    rules = [rule(f"uid = {number}") for number in range(70)]
    found = explained(tmp_path, {"events": EXEC}, *rules).rules
    decided = [found[number].steps[0].decisions[0].decided for number in (0, 69)]
    assert decided == ["kernel", "kernel and userspace"]


def test_events_that_differ_are_told_apart(tmp_path: Path) -> None:
    found = explained(tmp_path, {"events": EXEC}, rule("writes", "$open"))
    decisions = found.rules[0].steps[0].decisions
    assert {decision.events: decision.decided for decision in decisions}[("creat",)] == "kernel"
    assert len(decisions) > 1


def test_what_32_bit_calls_do_not_tell_is_said(tmp_path: Path) -> None:
    fields = {"fcntl": ["cmd", "l_start"], "sendmsg": ["addr"], "exit_group": ["error_code"]}
    events = {name: {"fields": names} for name, names in fields.items()}
    decoded = explained(tmp_path, {"events": events, "options": {"compat": "decode"}})
    assert [note for note in decoded.notes if "32-bit" in note] == [
        "of 32-bit calls, which lie otherwise in memory: fcntl.lock"
    ]
    (note,) = [n for n in explained(tmp_path, {"events": events}).notes if "32-bit" in n]
    assert "only programs are counted" in note


def test_requests_that_are_no_events_are_said(tmp_path: Path) -> None:
    found = explained(tmp_path, {"events": {"fsync": {}, "close": {}}})
    (note,) = [note for note in found.notes if "io_uring" in note]
    assert note == "what io_uring does of fsync (IORING_OP_FSYNC): such requests are no events"
