"""Fifth pass: the hooks that the events need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from etracee.catalog import Catalog, Flow
from etracee.plan.model import FUNCTION_KINDS, Branch, EventPlan, Hook, Plan

ATTACH = ("tracepoint", "raw_tracepoint", "fentry")
"""The ways in which calls can be met."""

UNSEEN_BY_FUNCTIONS = (
    "calls that seccomp(2) or a tracer answers in the kernel's place, and those that were under "
    "way before, are not seen with attach: fentry"
)
"""What tracepoints show and the kernel's functions of calls do not, since they are not called."""


@dataclass(frozen=True)
class _Way:
    """How calls are met; `function` stands before a call's name in that of the kernel's function.

    With fentry, calls whose function is `lacking` are met at their tracepoints.
    """

    attach: str
    function: str = ""
    lacking: frozenset[str] = frozenset()


def choose_hooks(
    events: tuple[EventPlan, ...],
    attach: str,
    catalog: Catalog,
    *,
    tree: bool,
    lacking: frozenset[str] = frozenset(),
) -> tuple[Hook, ...]:
    """Return the hooks, each once, in the order in which a program may take the place of another.

    What ends a call that was begun stands before what begins it: see templates/bpf/exec.c.j2.

    `attach` is how calls are met: `tracepoint` for the tracepoints of each call, `raw_tracepoint`
    for the two that all calls pass, from where each goes on to a program of its own, `fentry` for
    the kernel's function of each call, but for those that are `lacking`. The scheduler's are raw
    tracepoints in all cases, and so are those of 32-bit calls, which have a table of their own.
    """
    hooks, abi = _hooks(events, _Way(attach, catalog.registers.function, lacking)), catalog.abi
    hooks += (hook for edge in ("exit", "enter") for hook in _abi_calls(events, abi, edge))
    if any(event.type.abi_calls and not event.is_abi_told for event in events):
        place = _scheduler("sched_process_exec")
        hooks.append(replace(place, function=ABI_PROGRAMS, slot=_RAW_SLOTS[ABI_PROGRAMS], abi=abi))
    if tree:
        hooks += (_scheduler("sched_process_fork"), _scheduler("sched_process_exit"))
    return tuple(dict.fromkeys(hooks))


def attach_by(
    plan: Plan, attach: str, *, typed_loads: bool, lacking: frozenset[str] = frozenset()
) -> Plan:
    """Return `plan` for another way of attaching, or of reading kernel structures.

    `lacking` are functions of calls that the kernel does not offer.
    """
    hooks = choose_hooks(plan.events, attach, plan.catalog, tree=plan.tree, lacking=lacking)
    return replace(plan, hooks=hooks, attach=attach, typed_loads=typed_loads)


def call_functions(plan: Plan) -> frozenset[str]:
    """Return the names of the kernel's functions of the calls that are watched."""
    hooks = _hooks(plan.events, _Way("fentry", plan.catalog.registers.function))
    return frozenset(hook.name for hook in hooks if hook.is_at_function)


def call_hooks(plan: Plan) -> list[Hook]:
    """Return the hooks of calls, one or two for each, as they are if each call has its own."""
    hooks = _hooks(plan.events, _Way("tracepoint"))
    return [hook for hook in hooks if hook.kind == "tracepoint"]


def choose_branches(events: tuple[EventPlan, ...]) -> Iterator[Branch]:
    """Yield the functions for one event each that the hooks of requests go on to.

    The opcode says which, and of what is complete the event's index.
    """
    for event in events:
        opcodes = event.type.operation.opcodes if event.type.operation else ()
        slots = {
            "io_uring_submitted": opcodes,
            "io_uring_refused": tuple(REFUSED_REQUESTS + opcode for opcode in opcodes),
            "io_uring_completed": (COMPLETED_REQUESTS + event.layout.index,),
        }
        for hook, places in slots.items() if opcodes else ():
            function = f"{event.name}_{hook.removeprefix('io_uring_')}"
            yield Branch(hook, event.name, function, places)


def _hooks(events: tuple[EventPlan, ...], way: _Way) -> list[Hook]:
    return list(dict.fromkeys(hook for event in events for hook in _hooks_of(event, way)))


def _hooks_of(event: EventPlan, way: _Way) -> Iterator[Hook]:
    yield from _HOOKS[event.type.flow](event, way)
    if event.is_timed or event.closes:
        yield _call(event, way, "enter")
        yield _scheduler("sched_process_exit")


def _call(event: EventPlan, way: _Way, edge: str) -> Hook:
    name, number = f"sys_{edge}_{event.type.tracepoint}", event.type.number
    assert number is not None
    slot, function = 2 * number + EDGES[edge], f"{way.function}{event.type.tracepoint}"
    if way.attach == "raw_tracepoint":
        return Hook(way.attach, f"sys_{edge}", name, RAW_CALLS + slot, edge, event.name)
    if way.attach == "fentry" and function not in way.lacking:
        kind = FUNCTION_KINDS[edge]
        return Hook(kind, function, f"{kind}_{event.type.tracepoint}", 0, edge, event.name)
    return Hook("tracepoint", f"syscalls:{name}", name, slot, edge, event.name)


def _abi_calls(events: tuple[EventPlan, ...], abi: str, edge: str) -> Iterator[Hook]:
    """Yield the hooks of 32-bit calls: one for each number, which may stand for several events."""
    for event in events:
        for call in event.type.abi_calls if event.is_abi_told and event.is_at(edge) else ():
            slot = ABI_CALLS + 2 * call.number + EDGES[edge]
            function = f"{abi}_{edge}_{call.name}"
            yield Hook("raw_tracepoint", f"sys_{edge}", function, slot, edge, abi=abi)


def _scheduler(name: str, function: str | None = None) -> Hook:
    function = function or name
    return Hook("raw_tracepoint", name, function, _RAW_SLOTS[function])


def _request(event: EventPlan, _way: _Way) -> Iterator[Hook]:
    assert event.type.operation is not None
    for function, tracepoint in event.type.operation.hooks.items():
        yield Hook("raw_tracepoint", tracepoint.name, function, _RAW_SLOTS[function])


ABI_PROGRAMS = "abi_program_started"
"""The function that counts the 32-bit programs of whose calls nothing is told."""
EDGES = {"enter": 0, "exit": 1}
_RAW_SLOTS = {
    "sched_process_exec": 0,
    "sched_process_exit": 1,
    "sched_process_fork": 2,
    "new_image": 3,
    ABI_PROGRAMS: 9,
    "task_rename": 10,
    "io_uring_submitted": 5,
    "io_uring_refused": 6,
    "io_uring_completed": 7,
    "io_uring_overflowed": 8,
}
CALLS = 512
"""Calls that have slots: those whose number is below this."""
RAW_CALLS = 16
"""The slot of call 0 among raw tracepoints; the others' come before."""
ABI_CALLS = RAW_CALLS + 2 * CALLS
"""The slot of the 32-bit call 0 there."""
RAW_SLOTS, TRACEPOINT_SLOTS = ABI_CALLS + 2 * CALLS, 2 * CALLS
"""Slots, by function or by number of the call. A monitor that runs relies on them: numbers stay."""

REFUSED_REQUESTS, COMPLETED_REQUESTS = 256, 512
"""The slots of branches for opcode 0 that is refused, and for event 0 that is complete."""


def _syscall(event: EventPlan, way: _Way) -> Iterator[Hook]:
    yield _call(event, way, "exit")


def _entry(event: EventPlan, way: _Way) -> Iterator[Hook]:
    yield _call(event, way, "enter")


def _exec(event: EventPlan, way: _Way) -> Iterator[Hook]:
    yield _scheduler("task_rename")
    yield _scheduler("sched_process_exec")
    yield _call(event, way, "exit")
    yield _call(event, way, "enter")


def _fork(_event: EventPlan, _way: _Way) -> Iterator[Hook]:
    yield _scheduler("sched_process_fork")


def _image(_event: EventPlan, _way: _Way) -> Iterator[Hook]:
    """Apart from what finishes an execve, which the program before may be called for."""
    yield _scheduler("sched_process_exec", "new_image")


def _exit(_event: EventPlan, _way: _Way) -> Iterator[Hook]:
    yield _scheduler("sched_process_exit")


_HOOKS = {
    Flow.SYSCALL: _syscall,
    Flow.TWICE: _syscall,
    Flow.ENTRY: _entry,
    Flow.EXEC: _exec,
    Flow.FORK: _fork,
    Flow.IMAGE: _image,
    Flow.EXIT: _exit,
    Flow.REQUEST: _request,
}
