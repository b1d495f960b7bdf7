"""What `etracee explain` shows: captures, sizes, the text, JSON, counts."""

from __future__ import annotations

import json
from pathlib import Path

import hostc
import jsonschema
import msgspec
import pytest
from explained import EXEC, SCHEMA, Etracee, explained, rule

from etracee.explain import Attachment, explain, render_text
from etracee.plan import Request, make_plan
from etracee.resources import names_of
from etracee.source_set import load_source_set


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
  ret      8        result           from result of the call        for shown
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
  p.yaml:1:29: the profile watches connect without io_uring_connect, which does the same ($connect names all of them; `NAME: off` leaves one out on purpose)
  r.yaml:1:50: rule r0 looks at connect without io_uring_connect, which does the same ($connect names all of them)

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
