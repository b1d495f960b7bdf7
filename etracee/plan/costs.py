"""Which way of attaching costs the host least."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from etracee.catalog.costs import Costs
from etracee.plan.attach import call_hooks
from etracee.plan.model import Hook, Plan

MOST_TRACEPOINTS = 64
"""Tracepoints of calls that are attached one by one, where it is left to us.

The kernel takes 40 to 150 ms to detach each (Linux 6.18, perf_trace_event_unreg() waits for a grace
period).
"""


_ASKED_FOR = "fentry"
"""What is not chosen by its cost alone: see UNSEEN_BY_FUNCTIONS."""


@dataclass(frozen=True)
class Preference:
    """The way of attaching that costs least of those that see every call, and why."""

    attach: str
    why: str


def prefer_attachment(
    plan: Plan,
    costs: Costs,
    refused: Container[str] = (),
    lacking: frozenset[str] = frozenset(),
) -> Preference:
    """Return the way that costs a host least and sees every call; compare all not `refused`.

    `lacking` are functions of calls that the kernel does not offer, as for attach_by().
    """
    hooks = call_hooks(plan)
    if not hooks:
        return Preference("tracepoint", "no call is watched")
    if len(hooks) > MOST_TRACEPOINTS:
        why = f"it is detached sooner than {len(hooks)}, one for each call and edge"
        return Preference("raw_tracepoint", why)
    ways = [attach for attach in costs.hooks if attach not in refused]
    expected = {attach: _cost(hooks, costs, attach) for attach in ways}
    if "fentry" in ways:
        before = plan.catalog.registers.function
        apart = [hook for hook in hooks if f"{before}{_call(hook)}" in lacking]
        met = [hook for hook in hooks if hook not in apart]
        expected["fentry"] = _cost(met, costs, "fentry") + _cost(apart, costs, "tracepoint")
    best, *others = sorted(expected, key=lambda attach: (attach == _ASKED_FOR, expected[attach]))
    compared = ", ".join(f"{expected[attach]:.0f} by {attach}" for attach in others)
    figures = f"adds about {expected[best]:.0f} ns to each call of the host, {compared}"
    if expected.get(_ASKED_FOR, expected[best]) < expected[best]:
        figures += ", which does not see all calls and is taken where it is asked for"
    return Preference(best, f"{figures} ({costs.source})")


def _cost(hooks: list[Hook], costs: Costs, attach: str) -> float:
    """Return ns for a call of the host, on average, without what the programs do."""
    if not hooks:
        return 0
    cost = costs.hooks[attach]
    edges = {hook.edge for hook in hooks}
    passed = cost.exit + (cost.enter if "enter" in edges else 0)
    watched = sum(costs.share(_call(hook)) for hook in hooks)
    return passed + cost.own * watched


def _call(hook: Hook) -> str:
    """Return the call's name, as its tracepoints have it."""
    return hook.name.partition(f"sys_{hook.edge}_")[2]
