"""Steps and hooks of 32-bit calls, whose arguments are gathered before they are captured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etracee.catalog import Field, Flow
from etracee.catalog.entries import AbiArgument, Constant, Id16, Pages
from etracee.catalog.model import AbiCall, Argument, Passed
from etracee.event import ABI_NUMBER, NATIVE
from etracee.fragments import C, c, c_ident, c_int
from etracee.plan import EventPlan, Hook, Plan
from etracee.render.views import NOTHING, AbiCaseView, AbiHookView, Step

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
"""Ways of capturing that hold for 32-bit programs too; other structures differ there."""


def native_steps(event: EventPlan) -> Iterator[Step]:
    """Yield the step that tells a call of the host's own kind from a 32-bit one."""
    if event.is_abi_told:
        yield replace(NUMBER_STEP, value=c_int(NATIVE))


def abi_step(field: Field, step: Step) -> Step:
    """Return the step as it is for a 32-bit call: vectors have pointers of four bytes."""
    if not isinstance(field.origin, Passed):
        return step
    is_behind_pointer = field.origin.at is not None
    if field.type.capture not in _CAPTURES or not field.type.is_portable or is_behind_pointer:
        return Step("capture/unreadable.c.j2", step.name)
    if field.type.capture == "strings":
        return replace(step, template="capture/abi_strings.c.j2")
    return step


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
    is_noted = edge == "enter" and event.is_timed
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
        condition=C("1") if call.when is None else c("(u16)own[0] == {n}", n=call.when),
        memory=NOTHING if call.memory is None else c("own[{n}]", n=call.memory),
        words=max(words, default=0) + 1,
        arguments=arguments,
    )


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
    return c("(s64)(s32)given[{n}]" if signed else "given[{n}]", n=argument)
