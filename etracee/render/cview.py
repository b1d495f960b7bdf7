"""Turn a Plan into the views that the C templates show."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from etracee.catalog import Field, Flow
from etracee.catalog.model import Argument, PartOf, ReturnValue, Walk
from etracee.event import Slot
from etracee.expr.cform import c_source
from etracee.expr.tree import YES, Test, Tree, leaves
from etracee.fragments import C, c, c_comment, c_ident, c_int
from etracee.operators.base import CFunction
from etracee.plan import EventPlan, Hook, Plan
from etracee.plan.values import operands_of, text_of
from etracee.problems import Problem, ProblemsError
from etracee.render.views import (
    NOTHING,
    CallView,
    EventView,
    HookView,
    ProgramView,
    SlotView,
    Step,
    TestView,
    TextView,
)
from etracee.types.texts import Texts

Offset = Callable[[str], C]
"""Names the offset of `struct.member…` in C, and notes that it is needed."""


_TEMPLATES = {Flow.SYSCALL: "syscall.c.j2", Flow.EXEC: "exec.c.j2", Flow.EXIT: "exit.c.j2"}


def view_program(plan: Plan, offset: Offset) -> ProgramView:
    """Return what the templates need for `plan`."""
    builder = _EventBuilder(plan, offset)
    events = tuple(builder.event(event) for event in plan.events)
    exec_names = {event.name for event in plan.events if event.type.flow is Flow.EXEC}
    return ProgramView(
        tree=plan.tree,
        loads=C("typed" if plan.typed_loads else "helper"),
        counters=len(events) + 1,
        scratch_words=_scratch_words(plan),
        ring_pages=plan.options.ring_buffer // mmap.PAGESIZE,
        events=events,
        exec_events=tuple(event for event in events if event.name in exec_names),
        hooks=tuple(_hook(hook, plan) for hook in plan.hooks),
        functions=tuple(function.body for function in builder.functions.values()),
    )


@dataclass
class _EventBuilder:
    plan: Plan
    offset: Offset
    functions: dict[C, CFunction] = field(default_factory=dict)

    def event(self, event: EventPlan) -> EventView:
        layout = event.layout
        slots = {slot.name: _slot(slot) for slot in layout.slots}
        tests = tuple(self.tests(event))
        unfiltered = [self.step(event, field) for field in event.captures]
        steps = tuple(_with_tests(unfiltered, event))
        name = c_ident(event.name)
        return EventView(
            template=_TEMPLATES[event.type.flow],
            name=name,
            title=c("{name}: {doc}", name=name, doc=c_comment(event.type.doc)),
            index=layout.index,
            size=layout.size,
            size_mask=_ones(layout.limit),
            slots=tuple(slots[s.name] for s in sorted(layout.slots, key=lambda s: s.offset)),
            variable=tuple(slots[slot.name] for slot in layout.variable),
            tests=tests,
            steps=steps,
            unfiltered=tuple(unfiltered),
            image=tuple(_image_steps(event, unfiltered)),
            rejections=tuple(step for step in steps if step.test),
            unreadable=_any_unreadable(event),
        )

    def tests(self, event: EventPlan) -> Iterator[TestView]:
        for name, what, test in (
            ("early", "What can be told without user memory.", event.early_test),
            ("late", "What is told by strings and addresses.", event.late_test),
        ):
            if test != YES:
                form = c_source(test, operands_of(event.layout))
                self.functions |= {function.name: function for function in form.functions}
                full = c("{event}_is_wanted_{name}", event=c_ident(event.name), name=C(name))
                yield TestView(full, C(what), tuple(_texts(event, test)), form.expression)

    def step(self, event: EventPlan, field: Field) -> Step:
        slot = event.layout.slot(field.name)
        name, origin = c_ident(field.name), field.origin
        template = f"capture/{field.type.capture}.c.j2"
        if isinstance(origin, Walk):
            return self.walk(template, name, slot, origin)
        if isinstance(origin, ReturnValue):
            return Step(template, name, value=C("ret"))
        if isinstance(origin, Argument):
            return self.argument(event, template, slot, origin)
        return Step(template, name)

    def walk(self, template: str, name: C, slot: Slot, origin: Walk) -> Step:
        base = C("task")
        for step in origin.steps[:-1]:
            base = c("POINTER({base}, {offset})", base=base, offset=self.offset(step))
        last = self.offset(origin.steps[-1])
        if slot.storage.array:
            words = tuple(range(0, slot.size, 8))
            return Step(template, name, base=base, offset=last, words=words)
        kind = C(slot.storage.c_type)
        return Step(template, name, value=c("LOAD({t}, {b}, {o})", t=kind, b=base, o=last))

    def argument(self, event: EventPlan, template: str, slot: Slot, origin: Argument) -> Step:
        value = self.register(origin.index)
        if not slot.storage.variable:
            kind = C(slot.storage.c_type)
            return Step(template, c_ident(slot.name), value=c("({t}){v}", t=kind, v=value))
        before = _bytes_before(event, slot)
        return Step(
            template,
            c_ident(slot.name),
            value=value,
            length=c("(s32){length}", length=self.register(origin.index + 1)),
            mask=_ones(before),
            limit=slot.limit,
            limit_mask=_ones(slot.limit),
        )

    def register(self, index: int) -> C:
        registers = self.plan.catalog.registers.arguments
        if index >= len(registers):
            return C("0")
        return c("LOAD(u64, regs, {offset})", offset=self.offset(registers[index]))


def _slot(slot: Slot) -> SlotView:
    name, kind = c_ident(slot.name), C(slot.storage.c_type)
    if slot.storage.array:
        text = c(
            "{kind} {name}[{n}] __attribute__((aligned(8)));",
            kind=kind,
            name=name,
            n=slot.storage.array,
        )
    else:
        text = c("{kind} {name};", kind=kind, name=name)
    return SlotView(name, text, slot.offset)


def _with_tests(captures: list[Step], event: EventPlan) -> Iterator[Step]:
    """Put each test behind the captures that it reads."""
    name = c_ident(event.name)
    tests = ((event.early, event.early_test, "early"), (event.late, event.late_test, "late"))
    for index in range(len(captures) + 1):
        for place, test, which in tests:
            if index == place and test != YES:
                function = c("{name}_is_wanted_{which}", name=name, which=C(which))
                yield Step("reject.c.j2", test=function)
        if index < len(captures):
            yield captures[index]


def _texts(event: EventPlan, test: Tree) -> Iterator[TextView]:
    """Return pointers to the variable slots that the test reads."""
    read = {
        leaf.field.origin.whole if isinstance(leaf.field.origin, PartOf) else leaf.field.name
        for leaf in leaves(test)
        if isinstance(leaf, Test)
    }
    used = C("0")
    for slot in event.layout.variable:
        if slot.name in read:
            mask = c_int(_ones(_bytes_before(event, slot)))
            yield TextView(text_of(slot), c("BOUNDED(r->tail, {u}, {m})", u=used, m=mask))
        used = c("{used} + BYTES(r->{name})", used=used, name=c_ident(slot.name))


def _image_steps(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Read the strings of a new image: the name from the kernel, the vector from its stack."""
    for captured, step in zip(event.captures, captures, strict=True):
        if captured.type.storage.variable:
            strings = isinstance(captured.type, Texts)
            template = "capture/image_strings.c.j2" if strings else "capture/image_string.c.j2"
            yield Step(
                template, step.name, mask=step.mask, limit=step.limit, limit_mask=step.limit_mask
            )


def _any_unreadable(event: EventPlan) -> C:
    names = [c_ident(slot.name) for slot in event.layout.variable]
    tests = [c("r->{name} == UNREADABLE", name=name) for name in names]
    return C(" || ".join(tests)) if tests else C("0")


def _bytes_before(event: EventPlan, slot: Slot) -> int:
    variable = event.layout.variable
    return sum(before.limit for before in variable[: variable.index(slot)])


def _ones(most: int) -> int:
    """Return the smallest number of all ones that is not below `most`."""
    return (1 << most.bit_length()) - 1


MOST_SCRATCH = 32 * 1024
"""Bytes that a value of a per-CPU map may have: PCPU_MIN_UNIT_SIZE, include/linux/percpu.h."""


def _scratch_words(plan: Plan) -> int:
    sizes = {event.name: _scratch_bytes(event) for event in plan.events}
    problems = [
        Problem(
            None,
            f"the texts of {name} need {size} bytes together, of {MOST_SCRATCH} that there are",
            "lower options.max_string or options.max_argv, or capture fewer of its fields",
        )
        for name, size in sizes.items()
        if size > MOST_SCRATCH
    ]
    if problems:
        raise ProblemsError(problems)
    return max(sizes.values()) // 8


def _scratch_bytes(event: EventPlan) -> int:
    """Return the bytes that a record may reach for while it is made and compared.

    To the verifier, masks are the bounds: a string may begin as late as the mask of what is before
    it allows. A vector's string is written at most two masks behind its begin, and an end of a text
    is compared, word by word, at most a mask and the text itself behind it.
    """
    reach = event.layout.size + _ones(event.layout.limit) + 1
    for slot in event.layout.variable:
        begin = event.layout.size + _ones(_bytes_before(event, slot))
        reach = max(reach, begin + 2 * _ones(slot.limit) + 64)
    return -(-reach // 8) * 8


def _hook(hook: Hook, plan: Plan) -> HookView:
    registers = plan.catalog.registers
    flows = _FLOWS[hook.edge or hook.function]
    return HookView(
        template=_hook_template(hook),
        function=c_ident(hook.function),
        name=c_comment(hook.name),
        event=c_ident(hook.event) if hook.event else NOTHING,
        events=tuple(c_ident(event.name) for event in plan.events if event.type.flow in flows),
        calls=tuple(
            CallView(event.type.number, c_ident(event.name), event.layout.index)
            for event in plan.events
            if event.type.flow in flows and event.type.number is not None
        ),
        number=registers.number,
        compat_member=registers.compat.member,
        compat_bits=registers.compat.bits,
        counter=len(plan.events),
    )


_FLOWS: dict[str, tuple[Flow, ...]] = {
    "enter": (Flow.EXEC,),
    "exit": (Flow.EXEC, Flow.SYSCALL),
    "sched_process_exec": (Flow.EXEC,),
    "sched_process_exit": (Flow.EXIT,),
    "sched_process_fork": (),
}
"""Which events a hook is for, by the edge of calls or by its name."""


def _hook_template(hook: Hook) -> str:
    if hook.edge is None:
        return f"hook/{hook.function}.c.j2"
    return f"hook/{'syscall' if hook.event else 'raw'}_{hook.edge}.c.j2"
