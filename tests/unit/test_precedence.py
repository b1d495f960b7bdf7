"""Which events leave the last quarter of the ring to others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import hostc
import pytest
from explained import explained

from etracee.plan import EventPlan, Request
from etracee.render import render_program


def rule(events: list[str], condition: str, level: str, **more: object) -> dict[str, object]:
    about = {"id": f"{level}-{events[0]}", "title": "Rule", "level": level}
    return {**about, "events": events, "condition": condition, **more}


def events_of(
    directory: Path, events: object, *rules: Mapping[str, object], **request: bool
) -> dict[str, EventPlan]:
    found = hostc.plan_of(directory, {"events": events}, *rules, request=Request(**request))
    return {event.name: event for event in found.events}


def test_without_grave_rules_processes_stay(tmp_path: Path) -> None:
    watched = {"execve": {}, "openat": {}, "fork": {}, "exec": {}, "exit": {}, "connect": {}}
    found = events_of(tmp_path, watched, rule(["openat"], "writes", "medium"))
    assert {name for name, event in found.items() if event.gives_way} == {"openat", "connect"}
    assert not any(event.stays_for for event in found.values())


@pytest.mark.parametrize("watched", [{"openat": {}, "connect": {}}, {"execve": {}, "exit": {}}])
def test_where_all_are_equal_nothing_gives_way(tmp_path: Path, watched: object) -> None:
    found = events_of(tmp_path, watched)
    assert not any(event.gives_way for event in found.values())
    program = render_program(hostc.plan_of(tmp_path, {"events": watched})).c
    assert "nearly_full" not in program


@pytest.mark.parametrize("level", ["high", "critical"])
def test_with_grave_rules_only_what_they_may_need_stays(tmp_path: Path, level: str) -> None:
    watched = {"execve": {}, "openat": {}, "connect": {}}
    rules = (
        rule(["openat"], "filename = /etc/shadow", level),
        rule(["connect"], "port = 22", "medium"),
        rule(["openat"], "filename = /etc/group", "low"),
    )
    found = events_of(tmp_path, watched, *rules)
    assert all(event.gives_way for event in found.values())
    grave, low = found["openat"].matches
    assert grave.bit is not None and low.bit is not None
    assert found["openat"].stays_for == 1 << grave.bit
    assert not found["connect"].stays_for and not found["execve"].stays_for


def test_all_records_stay_where_the_kernel_cannot_tell(tmp_path: Path) -> None:
    """Each may be one that the rule matches."""
    watched = {"openat": {}, "connect": {}}
    found = events_of(tmp_path, watched, rule(["openat"], "filename matches 'x+y'", "high"))
    assert not found["openat"].gives_way
    assert found["connect"].gives_way


def test_what_a_rule_kills_for_stays(tmp_path: Path) -> None:
    """A process is ended only where its event is sent."""
    killing = rule(["openat"], "filename = /etc/x", "low", actions=["alert", "kill"])
    watched = {"openat": {}, "connect": {}}
    assert not events_of(tmp_path, watched, killing)["connect"].gives_way
    found = events_of(tmp_path, watched, killing, allow_actions=True)
    assert found["openat"].stays_for == found["openat"].kills != 0
    assert found["connect"].gives_way


def test_what_the_table_of_processes_is_told_stays(tmp_path: Path) -> None:
    asking = rule(["openat"], "ancestors contains nginx", "high")
    found = events_of(tmp_path, {"openat": {}, "connect": {}}, asking)
    assert {name for name, event in found.items() if event.gives_way} == {"connect"}
    assert {name for name, event in found.items() if event.feeds} == {"fork", "exec", "exit"}


def test_explain_says_what_gives_way(tmp_path: Path) -> None:
    rules = (rule(["openat"], "filename = /etc/shadow", "high"),)
    found = explained(tmp_path, {"events": {"execve": {}, "openat": {}}}, *rules)
    said = {
        event.name: [s.test for s in event.kernel if s.name == "room"] for event in found.events
    }
    refused = "refuse it while the ring is over three quarters full"
    but = ", unless it has marks of rules of level high or above, or that end the process"
    assert said == {"execve": [refused], "openat": [refused + but]}
    (event,) = explained(tmp_path, {"events": {"openat": {}}}).events
    assert not [stage for stage in event.kernel if stage.name == "room"]
