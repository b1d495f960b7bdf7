"""Which way of attaching is preferred: the one that costs the host least."""

from __future__ import annotations

from pathlib import Path

import hostc
import pytest

from etracee.catalog import load_catalog
from etracee.catalog.costs import Costs, HookCost, load_costs
from etracee.plan import prefer_attachment
from etracee.plan.attach import ATTACH
from etracee.plan.costs import MOST_TRACEPOINTS

TRACEPOINTS = {"tracepoint": HookCost(30, 10, 100), "raw_tracepoint": HookCost(100, 70, 0)}
SHARES = {"read": 0.8, "openat": 0.1}
COSTS = Costs(TRACEPOINTS, 80, SHARES, 0.001, "by mine")


def preferred(tmp_path: Path, *events: str, **fields: list[str]) -> tuple[str, str]:
    written = {name: {"fields": fields[name]} if name in fields else {} for name in events}
    found = prefer_attachment(hostc.plan_of(tmp_path, {"events": written}), COSTS)
    return found.attach, found.why


def test_few_calls_have_tracepoints_of_their_own(tmp_path: Path) -> None:
    attach, why = preferred(tmp_path, "openat")
    assert attach == "tracepoint"
    # 30 for every call, and 100 more for a tenth of them
    figures = "adds about 40 ns to each call of the host, 100 by raw_tracepoint"
    assert why == f"{figures} (by mine)"


def test_most_calls_share_one(tmp_path: Path) -> None:
    """30 for every call and 100 more for nine of ten are more than 100."""
    assert preferred(tmp_path, "openat", "read")[0] == "raw_tracepoint"


def test_entries_are_paid_for(tmp_path: Path) -> None:
    """Two hooks for each call: 30 + 10 + 2 x 80, against 100 + 70."""
    attach, why = preferred(tmp_path, "read", read=["duration_ns"])
    assert attach == "raw_tracepoint"
    assert why.startswith("adds about 170 ns to each call of the host, 200 by tracepoint")


def test_functions_cost_nothing_where_nobody_watches(tmp_path: Path) -> None:
    """50 for a tenth of all calls; where the kernel refuses them, they are not compared."""
    costs = Costs({**TRACEPOINTS, "fentry": HookCost(0, 0, 50)}, 80, SHARES, 0.001, "by mine")
    found = hostc.plan_of(tmp_path, {"events": {"openat": {}}})
    preference = prefer_attachment(found, costs)
    assert preference.attach == "tracepoint", "fentry does not see all calls"
    assert preference.why.startswith(
        "adds about 40 ns to each call of the host, 100 by raw_tracepoint, 5 by fentry, which does"
    )
    assert prefer_attachment(found, costs, refused=("fentry",)) == prefer_attachment(found, COSTS)


def test_a_call_without_a_function_costs_all_calls_something(tmp_path: Path) -> None:
    """5 for the one, and for the other 30 for every call and 100 for a thousandth of them."""
    costs = Costs({**TRACEPOINTS, "fentry": HookCost(0, 0, 50)}, 80, SHARES, 0.001, "by mine")
    found = hostc.plan_of(tmp_path, {"events": {"openat": {}, "getppid": {}}})
    lacking = frozenset({"__x64_sys_getppid"})
    preference = prefer_attachment(found, costs, lacking=lacking)
    assert "35 by fentry" in preference.why
    alone = hostc.plan_of(tmp_path, {"events": {"getppid": {}}})
    assert "30 by fentry (" in prefer_attachment(alone, costs, lacking=lacking).why


def test_functions_that_cost_much_are_not_taken(tmp_path: Path) -> None:
    """200 for nine of ten calls are more than 100 for each."""
    costs = Costs({**TRACEPOINTS, "fentry": HookCost(0, 0, 200)}, 80, SHARES, 0.001, "by mine")
    found = hostc.plan_of(tmp_path, {"events": {"openat": {}, "read": {}}})
    preference = prefer_attachment(found, costs)
    assert preference.attach == "raw_tracepoint"
    assert "asked for" not in preference.why


def test_nothing_is_compared_where_no_call_is_watched(tmp_path: Path) -> None:
    assert preferred(tmp_path, "exit") == ("tracepoint", "no call is watched")


def test_very_many_share_one_since_detaching_takes_time(tmp_path: Path) -> None:
    calls = [e.name for e in load_catalog().events.values() if e.number is not None]
    rare = [name for name in calls if name not in COSTS.shares and name != "execve"]
    attach, why = preferred(tmp_path, *rare[: MOST_TRACEPOINTS + 1])
    assert attach == "raw_tracepoint"
    assert "detached sooner" in why


def test_the_catalog_s_figures_are_whole() -> None:
    costs = load_costs()
    assert set(costs.hooks) == set(ATTACH)
    functions = costs.hooks["fentry"]
    assert (functions.exit, functions.enter) == (0, 0), "no call passes another one's function"
    assert 0.9 < sum(costs.shares.values()) <= 1
    names = {event.tracepoint for event in load_catalog().events.values()}
    assert set(costs.shares) <= names


@pytest.mark.parametrize("share", [0.5, 0.65])
def test_the_figures_of_the_catalog_break_even_below_six_tenths(share: float) -> None:
    hooks = load_costs().hooks
    tracepoint, raw = (
        hooks[way].exit + hooks[way].own * share for way in ("tracepoint", "raw_tracepoint")
    )
    assert (tracepoint < raw) == (share < 0.6)
