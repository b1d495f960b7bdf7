"""What is explained of a profile and its rules: decisions, captures, sizes, warnings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hostc
import jsonschema
import msgspec
import pytest

from etracee.catalog import load_catalog
from etracee.explain import Attachment, Explanation, explain, render_text
from etracee.explain.model import Clause, Decision
from etracee.plan import Request, make_plan
from etracee.resources import names_of
from etracee.source_set import load_source_set

Etracee = Callable[..., "subprocess.CompletedProcess[str]"]
SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "explanation.json"
EXEC = {"execve": {}, "execveat": {}}
"""Events without siblings."""


def explained(
    directory: Path,
    profile: Mapping[str, Any],
    *rules: Mapping[str, Any],
    request: Request = Request(),  # noqa: B008 - frozen
) -> Explanation:
    file = hostc.write_yaml(directory / "p.yaml", {"name": "test", **profile})
    named = []
    if rules:
        written = [{"id": f"r{i}", "title": "R", **rule} for i, rule in enumerate(rules)]
        named.append(str(hostc.write_yaml(directory / "r.yaml", {"rules": written})))
    source = load_source_set(str(file), tuple(named), "x86_64")
    plan = make_plan(source.profile, source.rules, request, source.catalog)
    return explain(source, plan, Attachment("tracepoint", "as was asked for"), cpus=2)


def rule(condition: str | None = None, *events: str, **more: Any) -> dict[str, Any]:
    condition = condition or "tid exists"
    return {"events": [*(events or ("$execute",))], "condition": condition, **more}


def only_decision(explanation: Explanation) -> Decision:
    ((decision,),) = [step.decisions for rule in explanation.rules for step in rule.steps]
    return decision


def reasons(decision: Decision) -> dict[str, str | None]:
    return {clause.text: clause.because for clause in decision.clauses}


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
    ("some lack it", {}, [rule("flags has AT_EMPTY_PATH")], "execve lack flags"),
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


def test_captured_for_whom(tmp_path: Path) -> None:
    written = rule(
        "port = 22",
        "connect",
        output="{comm}",
        threshold={"count": 3, "within": "10s", "by": ["uid", "addr"]},
    )
    profile = {"events": {"connect": {"fields": ["fd"], "filter": "gid = 0"}}, "context": ["pid"]}
    found = explained(tmp_path, profile, written)
    (event,) = found.events
    wanted = {
        field.name: {reader.rule: reader.uses for reader in field.readers} for field in event.fields
    }
    assert wanted["pid"] == {None: ("shown",)}
    assert wanted["gid"] == {None: ("filter",)}
    assert wanted["address"] == {"r0": ("condition as port", "key as addr")}
    assert wanted["uid"] == {"r0": ("key",)}
    assert wanted["comm"] == {"r0": ("output",)}
    assert found.rules[0].state == "3 events within 10 s for each uid, addr"


def test_bytes_are_those_of_the_plan(tmp_path: Path) -> None:
    """The sizes of a record are what its fields and its header take."""
    (event, _) = explained(tmp_path, {"events": EXEC, "options": {"max_string": 64}}).events
    assert event.fixed_bytes >= sum(field.bytes for field in event.fields)
    assert event.largest_bytes == event.fixed_bytes + 64 + 1024


GOLDEN = """\
profile test
attached by tracepoint: as was asked for
1 event, 1 rule, 2 programs, 8 maps of about 8 MiB, 8 MiB of them the ring buffer

event connect: 56 bytes, at most 184
  kernel 1. not etracee itself
  kernel 2. after reading uid: uid >= 1000
  kernel 3. after reading address: mark the rules that may match
  userspace: uid >= 1000 and sun_path startswith /run
  filter: kernel in part, then userspace
    uid >= 1000: kernel
    sun_path startswith /run: userspace, because sun_path is taken out of address in Python
  uid      4        number           from kernel memory             for filter
  address  2 + 128  socket address   from user memory at exit       for filter as sun_path; r0 (condition as family)
  pid      4        number           from kernel memory             for shown
  tid      4        number           from kernel memory             for shown
  ret      8        result           from registers saved at entry  for shown
  fd       4        file descriptor  from registers saved at entry  for shown

rule r0 (medium): R
  connect: kernel, exactly
    family = AF_UNIX: kernel

programs
  sys_exit_connect     tracepoint      syscalls:sys_exit_connect  slot 85
  abi_program_started  raw_tracepoint  sched_process_exec         slot 9

maps
  tracepoints      program array  1024 entries of 4 + 4 bytes  about 8 KiB
  raw_tracepoints  program array  2064 entries of 4 + 4 bytes  about 16.1 KiB
  config           array          1 entry of 4 + 12 bytes      about 16 bytes
  counts           per-CPU array  2 entries of 4 + 32 bytes    about 128 bytes
  left_open        per-CPU array  2 entries of 4 + 8 bytes     about 32 bytes
  scratch          per-CPU array  1 entry of 4 + 632 bytes     about 1.2 KiB
  abi_programs     per-CPU array  1 entry of 4 + 8 bytes       about 16 bytes
  events           ring buffer                                 8 MiB

warnings
  p.yaml:1:29: the profile watches connect without io_uring_connect, which do the same (all of them are $connect)
  r.yaml:1:50: rule r0 looks at connect without io_uring_connect, which do the same (all of them are $connect)

not seen
  32-bit calls of i386 programs, and of others that make such calls: only programs are counted (options.compat: decode)
"""  # noqa: E501


def test_text(tmp_path: Path) -> None:
    profile = {
        "events": {"connect": {"fields": ["fd"]}},
        "context": ["pid"],
        "filter": "uid >= 1000 and sun_path startswith /run",
    }
    text = render_text(explained(tmp_path, profile, rule("family = AF_UNIX", "connect")))
    assert text.replace(f"{tmp_path}/", "") == GOLDEN


def test_what_32_bit_calls_do_not_tell_is_said(tmp_path: Path) -> None:
    fields = {"fcntl": ["cmd", "l_start"], "sendmsg": ["addr"], "exit_group": ["error_code"]}
    events = {name: {"fields": names} for name, names in fields.items()}
    decoded = explained(tmp_path, {"events": events, "options": {"compat": "decode"}})
    assert [note for note in decoded.notes if "32-bit" in note] == [
        "of 32-bit calls, which lie otherwise in memory: fcntl.lock"
    ]
    (note,) = [n for n in explained(tmp_path, {"events": events}).notes if "32-bit" in n]
    assert "only programs are counted" in note


def test_text_names_some_of_many_readers(tmp_path: Path) -> None:
    rules = [rule(f"uid = {number}") for number in range(8)]
    text = render_text(explained(tmp_path, {"events": EXEC, "context": ["pid"]}, *rules))
    assert "for r0 (condition); r1 (condition); " in text
    assert "r4 (condition); 3 more rules" in text


@pytest.mark.parametrize("name", sorted(names_of("rules")))
def test_every_comparison_left_to_userspace_has_a_reason(name: str) -> None:
    source = load_source_set("minimal", (name,), "x86_64")
    plan = make_plan(source.profile, source.rules, Request(), source.catalog)
    found = explain(source, plan, Attachment("tracepoint", ""), cpus=2)
    decisions = [d for r in found.rules for step in r.steps for d in step.decisions]
    for decision in decisions:
        where = {clause.decided for clause in decision.clauses}
        assert all(clause.because for clause in decision.clauses if clause.decided == "userspace")
        assert decision.decided != "kernel" or where <= {"kernel"}
        assert decision.decided != "userspace" or where == {"userspace"}


def test_text_escapes_control_characters(tmp_path: Path) -> None:
    text = render_text(explained(tmp_path, {"events": EXEC}, rule("comm = '\x1b[31m'")))
    assert "\x1b" not in text
    assert "\\x1b[31m" in text


def test_json_has_its_documented_shape(tmp_path: Path) -> None:
    written = rule("uid = 0 and path = /x", threshold={"count": 5, "within": "1m", "by": ["pid"]})
    found = explained(tmp_path, {"events": EXEC, "filter": "uid < 5"}, written)
    told = json.loads(msgspec.json.encode(found))
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(told, schema)
    assert set(told) == set(schema["$defs"]["Explanation"]["properties"])
    told["rules"][0]["steps"][0]["decisions"][0]["decided"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, schema)


def test_command(etracee: Etracee) -> None:
    done = etracee(
        "explain", "-p", "minimal", "-r", "sensitive-files", "--attach", "raw_tracepoint"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("profile minimal")
    assert "attached by raw_tracepoint: as was asked for" in done.stdout
    told = json.loads(etracee("explain", "-p", "minimal", "--format", "json").stdout)
    assert [event["name"] for event in told["events"]] == ["execve", "openat", "connect", "exit"]


def test_command_says_what_is_wrong(etracee: Etracee, tmp_path: Path) -> None:
    file = hostc.write_yaml(tmp_path / "p.yaml", {"name": "p", "events": {"opnat": {}}})
    done = etracee("explain", "-p", file)
    assert done.returncode == 2
    assert "did you mean 'openat'?" in done.stderr


def test_what_is_counted_is_said(tmp_path: Path) -> None:
    profile = {
        "mode": "count",
        "count": {"by": ["comm", "error"], "histogram": "ret", "every": "10s"},
        "events": {"kill": {}, "tgkill": {}, "execve": {"mode": "events"}},
    }
    found = explained(tmp_path, profile, rule("target_pid = 1", "tgkill"))
    kill, tgkill, execve = found.events
    assert kill.counted is not None
    assert (kill.counted.by, kill.counted.histogram) == (("comm", "error"), "ret")
    assert [(e.delivered, e.sent) for e in (kill, tgkill, execve)] == [
        (False, False),
        (False, True),
        (True, True),
    ]
    assert execve.counted is None
    assert [field.name for field in kill.fields] == ["comm", "ret"]
    assert "tallies" in {m.name for m in found.maps}
    text = render_text(found)
    said = "counted by comm, error with a histogram of ret in keys of 40 bytes, told every 10 s"
    assert f"event kill: {said}, not sent" in text
    assert f"event tgkill: {said}, " in text
    assert "count its key; send it only if there are marks of rules" in text


def test_what_is_said_of_many_events_is_said_once(tmp_path: Path) -> None:
    profile = {"mode": "count", "count": {"by": ["comm"]}, "events": {"$syscalls": {}}}
    found = explained(tmp_path, profile)
    text = render_text(found)
    assert text.count("counted by comm") == 1
    assert f"and {len(found.events) - 10} more: counted by comm in keys" in text


def test_fields_of_what_is_counted_are_said_to_be_idle(tmp_path: Path) -> None:
    profile = {"mode": "count", "events": {"kill": {"fields": ["target_pid"]}, "tgkill": {}}}
    told = [w.message for w in explained(tmp_path, profile).warnings if "fields" in w.message]
    assert told == ["kill is counted: what its `fields` name is not captured"]


def test_a_filter_that_nothing_passes_is_told_of_what_is_counted(tmp_path: Path) -> None:
    profile = {"mode": "count", "events": {"kill": {"filter": "uid = 1 and uid = 2"}}}
    told = [warning.message for warning in explained(tmp_path, profile).warnings]
    assert any("no event kill can pass the filters" in message for message in told)
