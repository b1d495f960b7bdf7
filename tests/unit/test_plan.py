"""The passes: what is captured, where it lies, which side decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import hostc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etracee.catalog import load_catalog
from etracee.expr.tree import YES, Tree, leaves
from etracee.plan import EventPlan, Hook, Plan, Request, attach_by, call_functions, make_plan
from etracee.plan.attach import ABI_PROGRAMS
from etracee.problems import ProblemsError
from etracee.render import render_program
from etracee.source_set import load_source_set

CATALOG = load_catalog("x86_64")


def plan(directory: Path, events: object, *rules: Mapping[str, object], **more: object) -> Plan:
    return hostc.plan_of(directory, {"events": events, **more}, *rules)


def only(directory: Path, event: str, about: object, **more: object) -> EventPlan:
    (found,) = plan(directory, {event: about}, **more).events
    return found


def texts_of(tree: Tree) -> set[str]:
    return {leaf.text for leaf in leaves(tree) if hasattr(leaf, "text")}


def test_only_what_somebody_reads_is_captured(tmp_path: Path) -> None:
    event = only(tmp_path, "openat", {"fields": ["flags"], "filter": "mode = 0644"}, context=[])
    assert {field.name for field in event.captures} == {"flags", "mode", "tid", "ret"}
    assert [field.name for field in event.shown] == ["tid", "ret", "flags"]


def test_numbers_are_decided_before_strings_are_read(tmp_path: Path) -> None:
    text = "filename startswith /etc and uid = 0 and argv contains x"
    event = only(tmp_path, "execve", {"filter": text})
    assert texts_of(event.early_test) == {"uid = 0"}
    assert texts_of(event.late_test) == {"filename startswith /etc"}
    assert [field.name for field in event.captures[: event.late]] == ["uid", "filename"]
    assert texts_of(event.keep) == {"filename startswith /etc", "uid = 0", "argv contains x"}


def test_kernel_decides_alone_where_it_can(tmp_path: Path) -> None:
    assert only(tmp_path, "openat", {"filter": "uid = 0 and filename endswith .so"}).keep == YES


def test_filter_that_no_kernel_takes_leaves_all_to_python(tmp_path: Path) -> None:
    event = only(tmp_path, "openat", {"filter": "uid = 0 or filename matches x"})
    assert (event.early_test, event.late_test) == (YES, YES)
    assert event.keep != YES


def test_capture_widens_to_the_longest_constant(tmp_path: Path) -> None:
    short = only(tmp_path, "openat", {"filter": "filename = x"}, options={"max_string": 16})
    wide = only(tmp_path, "openat", {"filter": f"filename = {'x' * 500}"})
    assert short.layout.slot("filename").limit == 16
    assert wide.layout.slot("filename").limit > 500


def test_rules_bring_their_own_needs(tmp_path: Path) -> None:
    rule = {
        "id": "r",
        "title": "Rule",
        "events": ["$chmod"],
        "condition": "mode has 04000",
        "output": "{comm} {filename}",
    }
    found = plan(tmp_path, {"exit": {}}, rule)
    delivered = {event.name: event.delivered for event in found.events}
    assert delivered == {"exit": True, **dict.fromkeys(CATALOG.families["chmod"], False)}
    chmod = next(event for event in found.events if event.name == "chmod")
    assert texts_of(chmod.late_test) | texts_of(chmod.early_test) == {"mode has 04000"}
    assert {"mode", "comm"} <= {field.name for field in chmod.captures}


def test_profile_filters_bound_the_rules(tmp_path: Path) -> None:
    rule = {"id": "r", "title": "R", "events": ["setuid"], "condition": "new_uid = 0"}
    found = plan(tmp_path, {"exit": {}}, rule, filter="uid >= 1000")
    setuid = next(event for event in found.events if event.name == "setuid")
    assert texts_of(setuid.early_test) == {"uid >= 1000", "new_uid = 0"}


def test_type_is_decided_at_compile_time(tmp_path: Path) -> None:
    found = plan(
        tmp_path, {"open": {}, "openat": {}, "exit": {}}, filter="type in $open or uid = 0"
    )
    assert {e.name: e.early_test == YES for e in found.events} == {
        "open": True,
        "openat": True,
        "exit": False,
    }


def test_field_that_only_some_events_have_is_a_warning(tmp_path: Path) -> None:
    found = plan(tmp_path, {"connect": {}, "exit": {}}, filter="port = 22")
    assert [str(w).rpartition(": ")[0].partition(": ")[2] for w in found.warnings] == [
        "exit lacks port"
    ]


OPEN = {"$open": {"filter": "not flags has O_CREAT", "fields": ["filename", "flags"]}}


def test_family_is_one_scope(tmp_path: Path) -> None:
    found = plan(tmp_path, OPEN)
    assert [str(warning).partition(": ")[2] for warning in found.warnings] == [
        "creat lacks flags: it is missing there",
        "creat has no field 'flags': it is not shown there",
    ]
    events = {event.name: event for event in found.events}
    assert set(events) == set(CATALOG.families["open"])
    assert texts_of(events["openat"].early_test) == {"flags has O_CREAT"}
    assert events["creat"].early_test == YES, "what is missing has no flag"
    shown = {name: {field.name for field in event.shown} for name, event in events.items()}
    assert all(("flags" in fields) == (name != "creat") for name, fields in shown.items())
    assert all("filename" in fields for fields in shown.values())


def test_family_is_one_scope_where_few_of_it_are_watched(tmp_path: Path) -> None:
    file = hostc.write_yaml(tmp_path / "p.yaml", {"name": "test", "events": OPEN})
    source = load_source_set(str(file), (), "x86_64")
    found = make_plan(source.profile, source.rules, Request(events=("creat",)), source.catalog)
    (event,) = found.events
    assert (event.name, event.early_test) == ("creat", YES)


def test_many_that_lack_a_field_are_not_all_named(tmp_path: Path) -> None:
    (warning,) = plan(tmp_path, {"$syscalls": {"filter": "filename = x"}}).warnings
    assert " more lack filename: it is missing there" in str(warning)
    assert len(str(warning)) < 300


def test_constant_longer_than_its_array_is_a_warning(tmp_path: Path) -> None:
    found = plan(tmp_path, {"exit": {}}, filter="comm = a-name-of-17-byte")
    (warning,) = found.warnings
    assert "this is never true" in warning.message
    assert warning.where is not None


def test_command_line_only_narrows(tmp_path: Path) -> None:
    file = hostc.write_yaml(
        tmp_path / "p.yaml",
        {"name": "p", "events": {"setuid": {"filter": "uid = 0"}, "exit": {}}},
    )
    source = load_source_set(str(file), (), "x86_64")
    request = Request(filters=(("--pid", "pid in (1)"),), events=("setuid",))
    found = make_plan(source.profile, source.rules, request, source.catalog)
    (event,) = found.events
    assert texts_of(event.early_test) == {"uid = 0", "pid in (1)"}
    with pytest.raises(ProblemsError) as caught:
        make_plan(source.profile, source.rules, Request(events=("setuidd",)), source.catalog)
    assert str(caught.value) == (
        "--event: the profile has no event 'setuidd' (did you mean 'setuid'?)"
    )


@given(st.sets(st.sampled_from(sorted(CATALOG.events)), min_size=1), st.data())
def test_layout_is_packed_and_aligned(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], data: st.DataObject
) -> None:
    """Slots neither overlap nor straddle their alignment; the fixed part is whole words."""
    context = data.draw(st.sets(st.sampled_from(sorted(CATALOG.context))))
    found = plan(
        tmp_path_factory.mktemp("layout"), {name: {} for name in names}, context=sorted(context)
    )
    for index, event in enumerate(found.events):
        layout = event.layout
        assert layout.index == index
        assert layout.size % 8 == 0
        end = 0
        for slot in sorted(layout.slots, key=lambda slot: slot.offset):
            assert slot.offset >= end
            assert slot.offset % (8 if slot.storage.array else slot.size) == 0
            assert (slot.limit > 0) == slot.storage.variable
            end = slot.offset + slot.size
        assert 0 <= layout.size - end < 8
        assert [slot.name for slot in layout.slots][:2] == ["time", "event"]
        assert layout.limit == layout.size + sum(slot.limit for slot in layout.variable)


EXECS = {"execs", "task_rename"}


@pytest.mark.parametrize(
    ("event", "about", "names"),
    [
        ("openat", {"fields": ["filename"]}, {"sys_exit_openat"}),
        ("openat", {"filter": "duration_ns > 9"}, {"sys_exit_openat", "sys_enter_openat", "exits"}),
        ("execve", {"fields": ["duration_ns"]}, {"sys_exit_execve", "sys_enter_execve", *EXECS}),
        ("close", {}, {"sys_exit_close"}),
        ("close", {"fields": ["fd_path"]}, {"sys_exit_close", "sys_enter_close", "exits"}),
        ("exit_group", {}, {"sys_enter_exit_group"}),
        ("syscall.exit", {}, {"sys_enter_exit"}),
        ("syscall.fork", {}, {"sys_exit_fork"}),
        ("exec", {}, {"execs"}),
    ],
)
def test_entries_are_hooked_where_somebody_needs_them(
    tmp_path: Path, event: str, about: object, names: set[str]
) -> None:
    short = {"sched_process_exit": "exits", "sched_process_exec": "execs"}
    found = own_hooks(plan(tmp_path, {event: about}))
    assert {short.get(hook.name, hook.name.removeprefix("syscalls:")) for hook in found} == names


def own_hooks(found: Plan) -> list[Hook]:
    """Return the hooks but that which counts 32-bit programs, where their calls are not decoded."""
    counting = [hook for hook in found.hooks if hook.function == ABI_PROGRAMS]
    assert len(counting) == any(event.type.abi_calls for event in found.events)
    return [hook for hook in found.hooks if hook not in counting]


def test_images_and_calls_have_hooks_of_their_own(tmp_path: Path) -> None:
    """A reload leads from the new program's execve to the old one's, which sends no image again.

    What counts 32-bit programs stands there too, where they are not decoded.
    """
    found = plan(tmp_path, {"exec": {}, "execve": {}}).hooks
    on_exec = [hook for hook in found if hook.name == "sched_process_exec"]
    assert len({hook.stub for hook in on_exec}) == len({hook.slot for hook in on_exec}) == 3
    assert sum(hook.abi is not None for hook in on_exec) == 1


def test_requests_have_functions_of_their_own(tmp_path: Path) -> None:
    """One for each hook, in slots that no other one has; an event may have several opcodes."""
    found = plan(tmp_path, {"io_uring_read": {}, "io_uring_close": {}, "openat": {}})
    assert Counter(branch.event for branch in found.branches) == {
        "io_uring_read": 3,
        "io_uring_close": 3,
    }
    functions, slots = zip(*((b.function, b.slots) for b in found.branches), strict=True)
    assert len({*functions}) == 6
    assert len({slot for each in slots for slot in each}) == sum(map(len, slots)) == 2 * (3 + 1) + 2


@pytest.mark.parametrize(("event", "field"), [("openat", "duration_ns"), ("close", "fd_path")])
def test_what_the_entry_tells_is_taken_before_anything_is_rejected(
    tmp_path: Path, event: str, field: str
) -> None:
    found = only(tmp_path, event, {"filter": "uid = 0", "fields": [field]})
    assert [each.name for each in found.captures[: found.early]] == [field, "uid"]


def test_the_time_is_taken_before_what_else_the_entry_tells(tmp_path: Path) -> None:
    """Which says whether a call that lacks both has been counted."""
    found = only(tmp_path, "close", {"filter": "fd_path = /x", "fields": ["duration_ns"]})
    assert [each.name for each in found.captures[:2]] == ["duration_ns", "fd_path"]


def test_hooks_are_those_of_the_events(tmp_path: Path) -> None:
    found = plan(tmp_path, {"openat": {}, "unlink": {}, "exit": {}})
    assert {hook.name for hook in own_hooks(found)} == {
        "syscalls:sys_exit_openat",
        "syscalls:sys_exit_unlink",
        "sched_process_exit",
    }
    raw = attach_by(found, "raw_tracepoint", typed_loads=True)
    hooks = own_hooks(raw)
    assert {hook.name for hook in hooks} == {"sys_exit", "sched_process_exit"}
    assert {hook.stub for hook in hooks} == {"attached_sys_exit", "attached_sched_process_exit"}
    assert len({hook.slot for hook in hooks}) == 3


def test_calls_may_be_met_at_their_functions(tmp_path: Path) -> None:
    found = plan(tmp_path, {"openat": {"fields": ["duration_ns"]}, "unlink": {}, "exit_group": {}})
    names = call_functions(found)
    assert names == {"__x64_sys_openat", "__x64_sys_unlink", "__x64_sys_exit_group"}
    lacking = frozenset({"__x64_sys_unlink"})
    by_function = attach_by(found, "fentry", typed_loads=True, lacking=lacking)
    hooks = [hook for hook in own_hooks(by_function) if hook.edge]
    assert {(hook.kind, hook.name) for hook in hooks} == {
        ("fexit", "__x64_sys_openat"),
        ("fentry", "__x64_sys_openat"),
        ("tracepoint", "syscalls:sys_exit_unlink"),
        ("fentry", "__x64_sys_exit_group"),  # it does not return
    }
    assert len({hook.stub for hook in hooks}) == len({hook.slots for hook in hooks}) == 4
    outside = [hook for hook in own_hooks(by_function) if not hook.edge]
    assert outside == [hook for hook in own_hooks(found) if not hook.edge]


SCHEDULER = {"sched_process_fork", "sched_process_exec", "sched_process_exit"}


def test_who_reads_of_the_table_of_processes_brings_what_it_is_told_by(tmp_path: Path) -> None:
    calm = plan(tmp_path, {"openat": {}}, context=["pid", "entity_id"])
    assert {hook.name for hook in own_hooks(calm)} == {"syscalls:sys_exit_openat"}
    found = plan(tmp_path, {"openat": {"filter": "ancestors contains sshd"}}, context=["pid"])
    names = {hook.name for hook in own_hooks(found)}
    assert names == {"syscalls:sys_exit_openat", *SCHEDULER}
    opens, *told = found.events
    assert [(event.name, event.delivered, event.shown) for event in told] == [
        ("fork", False, ()),
        ("exec", False, ()),
        ("exit", False, ()),
    ]
    assert opens.feeds is None
    assert opens.delivered


def test_what_the_table_is_told_by_is_not_filtered_in_the_kernel(tmp_path: Path) -> None:
    events = {"openat": {}, "fork": {"filter": "uid = 0"}}
    rule = {"id": "x", "title": "X", "events": ["exit"], "condition": "uid = 0"}
    found = plan(tmp_path, events, rule, context=["ancestors"], filter="gid = 0")
    opens, fork, exit_, exec_ = found.events
    assert texts_of(opens.early_test) == {"gid = 0"}
    for event in (fork, exit_, exec_):
        assert (event.early_test, event.late_test) == (YES, YES)
        assert event.is_sent_anyway
    assert texts_of(fork.keep) == {"uid = 0", "gid = 0"}
    reasons = {"the table of processes is told of every such event"}
    assert set(fork.filter_refused.values()) == reasons


def test_what_is_lost_of_the_table_is_lost_to_the_rules_that_read_of_it(tmp_path: Path) -> None:
    rules = [
        {"id": "reads", "title": "R", "events": ["openat"], "condition": "ancestors contains x"},
        {"id": "not", "title": "N", "events": ["openat"], "condition": "filename = /x"},
    ]
    found = plan(tmp_path, {"openat": {}}, *rules)
    module = render_program(found).python
    (line,) = [line for line in module.splitlines() if line.startswith("RULES_BY_EVENT")]
    assert line == "RULES_BY_EVENT = ((0, 1), (0,), (0,), (0,))"
