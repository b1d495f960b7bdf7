"""Turn hooks into the views that their templates show: functions, and the stubs that call them."""

from __future__ import annotations

from etracee.catalog import EventType, Flow
from etracee.fragments import C, c_comment, c_ident
from etracee.plan import EventPlan, Hook, Plan
from etracee.plan.attach import ABI_CALLS, CALLS, EDGES, RAW_CALLS
from etracee.render.abi import view_abi_hook
from etracee.render.alike import Alike
from etracee.render.requests import view_request_hook
from etracee.render.views import NOTHING, CallView, HookView, StubView
from etracee.render.walk import Offset


def view_hook(hook: Hook, plan: Plan, alike: Alike, offset: Offset) -> HookView:
    """Return the function that runs at a hook; `alike` are events that share one."""
    events = tuple(event for event in plan.events if _is_for(hook, event))
    return HookView(
        template=_hook_template(hook),
        function=c_ident(hook.function),
        name=c_comment(hook.name),
        context=_CONTEXTS[hook.kind, hook.edge],
        event=c_ident(hook.event) if hook.event else NOTHING,
        stem=c_ident(alike.name_of(hook.event)) if hook.event else NOTHING,
        more=alike.argument_of(hook.event),
        events=tuple(c_ident(event.name) for event in events),
        calls=tuple(
            CallView(number, c_ident(event.name), event.layout.index)
            for event in events
            for number in _numbers(event.type)
        ),
        number=plan.catalog.registers.number,
        counter=len(plan.events),
        request=view_request_hook(hook.function, plan, offset),
        abi=view_abi_hook(hook, hook.edge, plan) if hook.abi and hook.edge else None,
        machine=plan.catalog.registers.compat.machine,
        serves_abi=plan.catalog.registers.serves_abi,
        compat_member=plan.catalog.registers.compat.member,
        compat_bits=plan.catalog.registers.compat.bits,
        abi_numbers=tuple(
            call.number for event in events if event.is_abi_told for call in event.type.abi_calls
        ),
    )


def view_stub(hook: Hook, plan: Plan) -> StubView:
    """Return what is attached for a hook, and maybe for others of its name."""
    registers = plan.catalog.registers
    serves_all = hook.kind == "raw_tracepoint" and hook.edge is not None
    if hook.abi and hook.edge:
        return _abi_stub(hook, hook.edge, plan)
    return StubView(
        template="hook/stub_of_calls.c.j2" if serves_all else "hook/stub.c.j2",
        function=c_ident(hook.stub),
        context=_CONTEXTS[hook.kind, hook.edge],
        slots=c_ident(hook.slots),
        slot=RAW_CALLS + EDGES[hook.edge] if serves_all and hook.edge else hook.slot,
        calls=CALLS,
        number=registers.number,
        compat_member=registers.compat.member,
        compat_bits=registers.compat.bits,
    )


def _abi_stub(hook: Hook, edge: str, plan: Plan) -> StubView:
    compat = plan.catalog.registers.compat
    return StubView(
        template="hook/stub_of_abi_calls.c.j2",
        function=c_ident(hook.stub),
        context=_CONTEXTS[hook.kind, edge],
        slots=c_ident(hook.slots),
        slot=ABI_CALLS + EDGES[edge],
        calls=CALLS,
        number=compat.number,
        compat_member=compat.member,
        compat_bits=compat.bits,
    )


def _numbers(event: EventType) -> tuple[int, ...]:
    """Return the numbers by which hooks tell an event: of a call, or opcodes of io_uring's."""
    if event.operation is not None:
        return event.operation.opcodes
    return () if event.number is None else (event.number,)


_RAW = C("bpf_raw_tracepoint_args")
_CONTEXTS: dict[tuple[str, str | None], C] = {
    ("tracepoint", "enter"): C("call_entry"),
    ("tracepoint", "exit"): C("call_exit"),
    ("fentry", "enter"): _RAW,
    ("fexit", "exit"): _RAW,
    ("raw_tracepoint", "enter"): _RAW,
    ("raw_tracepoint", "exit"): _RAW,
    ("raw_tracepoint", None): _RAW,
}
"""What a function is given, by the kind and the edge of its hook."""

_FLOWS: dict[str, tuple[Flow, ...]] = {
    "sched_process_exec": (Flow.EXEC,),
    "task_rename": (Flow.EXEC,),
    "sched_process_exit": (Flow.EXIT,),
    "sched_process_fork": (Flow.FORK,),
    "new_image": (Flow.IMAGE,),
    "abi_program_started": (),
    "io_uring_submitted": (Flow.REQUEST,),
    "io_uring_refused": (Flow.REQUEST,),
    "io_uring_overflowed": (Flow.REQUEST,),
    "io_uring_completed": (Flow.REQUEST,),
}
"""Which events a hook is for that no call passes, by its name."""


def _is_for(hook: Hook, event: EventPlan) -> bool:
    return event.is_at(hook.edge) if hook.edge else event.type.flow in _FLOWS[hook.function]


def _hook_template(hook: Hook) -> str:
    if hook.edge is None:
        return f"hook/{hook.function}.c.j2"
    if hook.abi:
        return "hook/abi_call.c.j2"
    return f"hook/{_PLACES[hook.kind]}_{hook.edge}.c.j2"


_PLACES = {
    "tracepoint": "syscall",
    "raw_tracepoint": "raw",
    "fentry": "function",
    "fexit": "function",
}
