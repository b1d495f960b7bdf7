"""Steps and hooks of 32-bit calls, whose arguments are gathered before they are captured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etracee.catalog import EventType, Field, Flow
from etracee.catalog.entries import AbiArgument, Behind, Constant, Id16, Pages
from etracee.catalog.model import AbiCall, Argument, Passed
from etracee.event import ABI_NUMBER, NATIVE
from etracee.fragments import C, c, c_ident, c_int
from etracee.plan import EventPlan, Hook, Plan
from etracee.render.views import NOTHING, AbiCaseView, AbiHookView, Step
from etracee.types import Abi

ABI_ARGUMENTS = 6
"""Arguments that a call has at most."""
ABI_TEMPLATES = {
    Flow.SYSCALL: "abi_syscall.c.j2",
    Flow.TWICE: "abi_twice.c.j2",
    Flow.ENTRY: "abi_entry.c.j2",
    Flow.EXEC: "abi_exec.c.j2",
}
NUMBER_STEP = Step("capture/scalar.c.j2", c_ident(ABI_NUMBER), value=C("number"))

_CAPTURES = {"scalar", "string", "strings", "bytes", "array", "path"}
"""Ways of capturing that there are for 32-bit programs too."""
_STRUCTURES = {
    Abi.WORDS: "capture/abi_words.c.j2",
    Abi.SIGNED_WORDS: "capture/abi_signed_words.c.j2",
    Abi.HEADED: "capture/abi_headed.c.j2",
    Abi.TIMES: "capture/abi_times.c.j2",
}
"""What captures a structure that lies otherwise there."""
_LONG = 2
"""How many times as long a pointer is for a 64-bit program."""


def native_steps(event: EventPlan) -> Iterator[Step]:
    """Yield the step that tells a call of the host's own kind from a 32-bit one."""
    if event.is_abi_told:
        yield replace(NUMBER_STEP, value=c_int(NATIVE))


def abi_step(field: Field, step: Step) -> Step:
    """Return the step as it is for a 32-bit call: pointers and longs have four bytes."""
    if not is_abi_read(field):
        return Step("capture/unreadable.c.j2", step.name)
    if not isinstance(field.origin, Passed):
        return step
    if field.type.capture == "strings":
        return replace(step, template="capture/abi_strings.c.j2")
    return replace(step, template=_STRUCTURES.get(field.type.abi, step.template))


def is_abi_read(field: Field) -> bool:
    """Say whether the field is told of 32-bit calls too; else it is null there."""
    if not isinstance(field.origin, Passed):
        return True
    return field.type.capture in _CAPTURES and field.type.abi is not Abi.OTHER


def abi_origin(event: EventType, origin: Passed) -> Passed:
    """Return where a 32-bit call has what lies at a place of a structure of words."""
    words = {
        field.origin.index
        for field in event.fields.values()
        if isinstance(field.origin, Argument) and field.type.abi is Abi.WORDS
    }
    if origin.index in words and origin.at is not None:
        origin = replace(origin, at=origin.at // _LONG, pointer="u32")
    length = origin.length
    if length and length.index in words and length.at is not None:
        c_type = "u32" if length.c == "u64" else length.c
        origin = replace(origin, length=replace(length, at=length.at // _LONG, c=c_type))
    return origin


def view_abi_hook(hook: Hook, edge: str, plan: Plan) -> AbiHookView:
    """Return what the function at an edge of a 32-bit call needs: the events it may stand for."""
    cases = [
        (call, event)
        for event in plan.events
        for call in event.type.abi_calls
        if event.is_abi_told
        and event.is_at(edge)
        and f"{hook.abi}_{edge}_{call.name}" == hook.function
    ]
    return AbiHookView(
        number=cases[0][0].number,
        arguments=plan.catalog.registers.compat.arguments,
        cases=tuple(_case(call, event, edge) for call, event in cases),
    )


def _case(call: AbiCall, event: EventPlan, edge: str) -> AbiCaseView:
    is_noted = edge == "enter" and event.is_timed and not event.closes
    signed = {
        field.origin.index
        for field in event.type.fields.values()
        if isinstance(field.origin, Argument) and field.type.storage.c_type == "s64"
    }
    arguments = tuple(
        _argument(argument, signed=index in signed) for index, argument in enumerate(call.arguments)
    )
    words = [n for a in call.arguments for n in ((a,) if isinstance(a, int) else ())]
    return AbiCaseView(
        template="hook/abi_timed.c.j2" if is_noted else f"hook/abi_{edge}.c.j2",
        event=c_ident(event.name),
        condition=_condition(call),
        memory=NOTHING if call.memory is None else c("own[{n}]", n=call.memory),
        words=max(words, default=0) + 1,
        arguments=arguments,
    )


def _condition(call: AbiCall) -> C:
    if call.when is None:
        return C("1")
    return c("({t})own[0] == {n}", t=C(f"u{call.bits}"), n=call.when)


def _argument(argument: AbiArgument, *, signed: bool) -> C:
    """Return an argument of the 64-bit call."""
    if argument is None:
        return C("0")
    if isinstance(argument, Constant):
        return c_int(argument.value)
    if isinstance(argument, Pages):
        return c("(u64)given[{n}] * 4096", n=argument.pages)
    if isinstance(argument, Id16):
        return c("abi_id(given[{n}])", n=argument.id)
    if isinstance(argument, tuple):
        low, high = argument
        return c("given[{low}] | (u64)given[{high}] << 32", low=low, high=high)
    if isinstance(argument, Behind):
        value = c("USER(u32, given[{n}] + {at})", n=argument.behind, at=argument.at)
    else:
        value = c("given[{n}]", n=argument)
    return c("(s64)(s32){value}", value=value) if signed else value
