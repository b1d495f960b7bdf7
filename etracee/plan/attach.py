"""Fifth pass: the hooks that the events need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etracee.catalog import Flow
from etracee.plan.model import EventPlan, Hook, Plan


def choose_hooks(events: tuple[EventPlan, ...], attach: str, *, tree: bool) -> tuple[Hook, ...]:
    """Return the hooks, each once, in the order in which a program may take the place of another.

    What ends a call that was begun stands before what begins it: see templates/bpf/exec.c.j2.

    `attach` is how calls are met: `tracepoint` for the tracepoints of each call, `raw_tracepoint`
    for the two that all calls pass. The scheduler's are raw tracepoints in both cases.
    """
    hooks = [hook for event in events for hook in _HOOKS[event.type.flow](event, attach)]
    if tree:
        hooks += (_scheduler("sched_process_fork"), _scheduler("sched_process_exit"))
    return tuple(dict.fromkeys(hooks))


def attach_by(plan: Plan, attach: str, *, typed_loads: bool) -> Plan:
    """Return `plan` for another way of attaching, or of reading kernel structures."""
    hooks = choose_hooks(plan.events, attach, tree=plan.tree)
    return replace(plan, hooks=hooks, attach=attach, typed_loads=typed_loads)


def _call(event: EventPlan, attach: str, edge: str) -> Hook:
    if attach == "raw_tracepoint":
        return Hook(attach, f"sys_{edge}", f"sys_{edge}", _RAW_SLOTS[f"sys_{edge}"], edge)
    name, number = f"sys_{edge}_{event.type.tracepoint}", event.type.number
    assert number is not None
    return Hook(attach, f"syscalls:{name}", name, 2 * number + _EDGES[edge], edge, event.name)


def _scheduler(name: str) -> Hook:
    return Hook("raw_tracepoint", name, name, _RAW_SLOTS[name])


_EDGES = {"enter": 0, "exit": 1}
_RAW_SLOTS = {
    "sched_process_exec": 0,
    "sched_process_exit": 1,
    "sched_process_fork": 2,
    "sys_enter": 3,
    "sys_exit": 4,
}
RAW_SLOTS, TRACEPOINT_SLOTS = 16, 1024
"""Slots, by name or by number of the call. A monitor that runs relies on them: numbers stay."""


def _syscall(event: EventPlan, attach: str) -> Iterator[Hook]:
    yield _call(event, attach, "exit")


def _exec(event: EventPlan, attach: str) -> Iterator[Hook]:
    yield _scheduler("sched_process_exec")
    yield _call(event, attach, "exit")
    yield _call(event, attach, "enter")


def _exit(_event: EventPlan, _attach: str) -> Iterator[Hook]:
    yield _scheduler("sched_process_exit")


_HOOKS = {Flow.SYSCALL: _syscall, Flow.EXEC: _exec, Flow.EXIT: _exit}
