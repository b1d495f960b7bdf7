"""Templates take fragments only; one small program is shown in full."""

from __future__ import annotations

from pathlib import Path

import hostc
import jinja2
import pytest

from etracee.fragments import C
from etracee.render import render_program
from etracee.render.environment import environment


@pytest.mark.parametrize("value", ["plain", None, True, 1.5, b"x", ["x"]])
def test_plain_values_are_refused(value: object) -> None:
    template = environment().from_string("{{ value }}")
    with pytest.raises(TypeError):
        template.render(value=value)


def test_fragments_and_numbers_are_taken() -> None:
    template = environment().from_string("{{ a }} {{ b }}")
    assert template.render(a=C("x"), b=7) == "x 7"


def test_joining_a_fragment_with_text_makes_it_plain() -> None:
    template = environment().from_string("{{ a ~ ';' }}")
    with pytest.raises(TypeError):
        template.render(a=C("x"))


def test_unknown_names_are_errors() -> None:
    with pytest.raises((jinja2.UndefinedError, TypeError)):
        environment().from_string("{{ nothing }}").render()


def test_record_and_filter_of_a_small_profile(tmp_path: Path) -> None:
    """What a reviewer reads first."""
    filters = "comm = sh and target_pid > 1"
    profile = {
        "context": ["comm"],
        "events": {"kill": {"fields": ["target_pid"], "filter": filters}},
    }
    c = render_program(hostc.plan_of(tmp_path, profile)).c
    assert (
        """\
struct record_kill {
    u64 time;
    u32 event;
    u32 tid;
    char comm[16] __attribute__((aligned(8)));
    s64 ret;
    s32 target_pid;
    char tail[]"""
        in c
    )
    assert (
        """\
static __always_inline int kill_is_wanted_early(volatile struct record_kill *r)
{
    return ((/* 'sh' */ (WORD(r->comm, 0) & 16777215) == 26739)
        && (s64)r->target_pid > 1);
}"""
        in c
    )


def test_what_is_counted_is_put_into_a_key(tmp_path: Path) -> None:
    profile = {
        "mode": "count",
        "count": {"by": ["error", "comm"]},
        "events": {"kill": {"filter": "target_pid > 1"}},
        "options": {"count_keys": "100"},
    }
    c = render_program(hostc.plan_of(tmp_path, profile)).c
    assert 'BPF_TABLE("percpu_hash", struct key, u64, tallies, 200);' in c
    assert (
        """\
struct key_kill {
    struct key_head head;
    char comm[16] __attribute__((aligned(8)));
    u32 error;
};"""
        in c
    )
    assert (
        """\
    if (result_error_exists(r->ret)) {
        key->error = (s64)result_error(r->ret);
    } else
        key->head.missing |= 1;
    *(u64 *)(key->comm + 0) = WORD(r->comm, 0);
    *(u64 *)(key->comm + 8) = WORD(r->comm, 8);
    return count_key(whole, index);"""
        in c
    )
    assert "ringbuf_output" not in c, "nothing is sent"


def test_what_is_not_counted_costs_nothing(tmp_path: Path) -> None:
    c = render_program(hostc.plan_of(tmp_path, {"events": {"kill": {}}})).c
    assert not any(word in c for word in ("tallies", "epoch", "unfitted", "key"))


def test_calls_that_are_counted_alike_share_a_function(tmp_path: Path) -> None:
    profile = {
        "mode": "count",
        "count": {"by": ["comm"]},
        "events": {
            "kill": {},
            "tgkill": {},
            "setuid": {"filter": "ret < 0"},
            "setgid": {"filter": "ret < 0"},
            "unlink": {"count": {"by": ["filename"]}},
        },
    }
    c = render_program(hostc.plan_of(tmp_path, profile)).c
    functions = {"counted_alike_0": ("kill", "tgkill"), "counted_alike_1": ("setuid", "setgid")}
    for function, events in functions.items():
        assert c.count(f"int {function}_at_exit(") == 1
        for event in events:
            hook = c[c.index(f"int sys_exit_{event}(") :]
            assert f"{function}_at_exit(" in hook[: hook.index("}")]
    assert c.count("int unlink_at_exit(") == 1 and "int kill_at_exit(" not in c
