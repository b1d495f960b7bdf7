"""`etracee test` of rules over several events: thresholds, sequences, scenarios."""

from __future__ import annotations

from typing import Any

import pytest
from tested_rules import Test, passes, rule, scenario, series

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
