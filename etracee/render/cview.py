"""Turn a Plan into the views that the C templates show."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from etracee.catalog import Field, Flow
from etracee.catalog.model import Argument, Captured, Elapsed, FileOf, ReturnValue, Walk
from etracee.event import NEGATIVE, Slot
from etracee.fragments import C, c, c_comment, c_ident, c_int
from etracee.operators.base import CFunction
from etracee.operators.grams import WORDS
from etracee.plan import EventPlan, Hook, Plan
from etracee.plan.attach import CALLS, EDGES, RAW_CALLS, RAW_SLOTS, TRACEPOINT_SLOTS
from etracee.plan.pushdown import KILLED
from etracee.plan.tries import LONGEST_KEY
from etracee.problems import Problem, ProblemsError
from etracee.render.alike import ALIKE, Alike, find_alike, is_alike
from etracee.render.counts import key_bytes, key_room, view_count
from etracee.render.filters import bytes_before, ones, view_filters, view_map, with_tests
from etracee.render.views import (
    NOTHING,
    CallView,
    EventView,
    HookView,
    ProgramView,
    Step,
    StubView,
    view_slot,
)
from etracee.types.cgroup import CgroupPath
from etracee.types.path import Path
from etracee.types.texts import Texts

Offset = Callable[[str], C]
"""Names the offset of `struct.member…` in C, and notes that it is needed."""


_TEMPLATES = {
    Flow.SYSCALL: "syscall.c.j2",
    Flow.TWICE: "twice.c.j2",
    Flow.ENTRY: "entry.c.j2",
    Flow.EXEC: "exec.c.j2",
    Flow.FORK: "fork.c.j2",
    Flow.IMAGE: "image.c.j2",
    Flow.EXIT: "exit.c.j2",
}


def view_program(plan: Plan, offset: Offset) -> ProgramView:
    """Return what the templates need for `plan`."""
    builder = _EventBuilder(plan, offset)
    alike = find_alike(plan.events, builder.event)
    events = tuple(map(builder.event, alike.distinct(plan.events)))
    exec_names = {event.name for event in plan.events if event.type.flow is Flow.EXEC}
    return ProgramView(
        tree=plan.tree,
        loads=C("typed" if plan.typed_loads else "helper"),
        tracepoint_slots=TRACEPOINT_SLOTS,
        raw_slots=RAW_SLOTS,
        counters=len(plan.events) + 1,
        scratch_words=_scratch_words(plan),
        times=any(event.takes_time for event in plan.events),
        notes_entries=any(event.is_timed for event in plan.events),
        timed_threads=TIMED_THREADS,
        paths=any(isinstance(field.type, Path) for field in _captures(plan)),
        cgroups=any(isinstance(field.type, CgroupPath) for field in _captures(plan)),
        path_limit=Path.most,
        path_depth=MOST_DEPTH,
        ring_pages=plan.options.ring_buffer // mmap.PAGESIZE,
        events=events,
        exec_events=tuple(event for event in events if event.name in exec_names),
        hooks=tuple(_hook(hook, plan, alike) for hook in plan.hooks),
        stubs=tuple(_stub(h, plan) for h in {hook.stub: hook for hook in plan.hooks}.values()),
        kills=any(event.kills for event in plan.events),
        functions=tuple(function.body for function in builder.functions.values()),
        tries=tuple(view_map(trie) for trie in plan.tries),
        grams=tuple(c_ident(each.field) for each in plan.grams),
        gram_words=WORDS,
        key_words=max(map(key_bytes, plan.events)) // 8,
        tallies=2 * plan.options.count_keys,
        negative=NEGATIVE,
    )


@dataclass
class _EventBuilder:
    plan: Plan
    offset: Offset
    functions: dict[C, CFunction] = field(default_factory=dict)

    def event(self, event: EventPlan) -> EventView:
        layout = event.layout
        slots = {slot.name: view_slot(slot) for slot in layout.slots}
        filters = view_filters(event, self.plan, self.functions)
        unfiltered = [self.step(event, field) for field in event.captures]
        steps = tuple(with_tests(unfiltered, event, filters))
        name = c_ident(event.name)
        return EventView(
            template=ALIKE if is_alike(event) else _TEMPLATES[event.type.flow],
            name=name,
            title=c("{name}: {doc}", name=name, doc=c_comment(event.type.doc)),
            index=C("index") if is_alike(event) else c_int(layout.index),
            size=layout.size,
            size_mask=ones(layout.limit),
            slots=tuple(slots[s.name] for s in sorted(layout.slots, key=lambda s: s.offset)),
            variable=tuple(slots[slot.name] for slot in _kept(event)),
            filters=filters,
            count=view_count(event, _scratch_bytes(event), self.functions),
            ending="send.c.j2" if event.is_sent else "counted.c.j2",
            kills=c_int(event.kills),
            killed=c_int(1 << KILLED),
            sent=(Step("kill.c.j2"),) if event.kills else (),
            steps=steps,
            unfiltered=tuple(_kept_at_entry(event, unfiltered)),
            image=tuple(_image_steps(event, unfiltered)),
            replaced=tuple(_replaced(event, unfiltered)),
            rejections=tuple(step for step in steps if step.test),
            ended=tuple(_durations(event, unfiltered, "capture/time_since.c.j2")),
            is_timed=event.is_timed,
            unreadable=_any_unreadable(event),
        )

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
        if isinstance(origin, FileOf):
            return self.path(event, slot, origin)
        if isinstance(origin, Elapsed):
            return Step(_DURATIONS[event.type.flow], name)
        assert isinstance(origin, Captured), f"{field.name} has no place of its own"
        return self.captured(event, slot, origin)

    def walk(self, template: str, name: C, slot: Slot, origin: Walk) -> Step:
        base = c_ident(origin.of)
        pointer, load = _LOADS[origin.of]
        for step in origin.steps[:-1]:
            base = c(pointer, base=base, offset=self.offset(step))
        last = self.offset(origin.steps[-1])
        if slot.storage.array:
            words = tuple(range(0, slot.size, 8))
            return Step(template, name, base=base, offset=last, words=words)
        kind = C(slot.storage.c_type)
        value = c("{load}({t}, {b}, {o})", load=load, t=kind, b=base, o=last)
        return Step(template, name, value=value)

    def captured(self, event: EventPlan, slot: Slot, origin: Captured) -> Step:
        template, name = f"capture/{origin.template}.c.j2", c_ident(slot.name)
        if not slot.storage.variable:
            return Step(template, name)
        mask, limit_mask = ones(bytes_before(event, slot)), ones(slot.limit)
        return Step(template, name, mask=mask, limit=slot.limit, limit_mask=limit_mask)

    def argument(self, event: EventPlan, template: str, slot: Slot, origin: Argument) -> Step:
        value = self.register(origin.index)
        if not slot.storage.variable:
            kind = C(slot.storage.c_type)
            return Step(template, c_ident(slot.name), value=c("({t}){v}", t=kind, v=value))
        before = bytes_before(event, slot)
        return Step(
            template,
            c_ident(slot.name),
            value=value,
            length=c("(s32){length}", length=self.register(origin.index + 1)),
            mask=ones(before),
            limit=slot.limit,
            limit_mask=ones(slot.limit),
        )

    def path(self, event: EventPlan, slot: Slot, origin: FileOf) -> Step:
        name, mask = c_ident(slot.name), ones(bytes_before(event, slot))
        result = _RESULTS[origin.result]
        if origin.name is None:
            value = result if origin.fd is None else self.descriptor(origin.fd)
            return Step("capture/path_of_descriptor.c.j2", name, value=value, mask=mask)
        return Step(
            "capture/path.c.j2",
            name,
            value=self.register(origin.name),
            length=C("AT_FDCWD_") if origin.at is None else self.descriptor(origin.at),
            base=result,
            mask=mask,
        )

    def descriptor(self, index: int) -> C:
        return c("(s32){register}", register=self.register(index))

    def register(self, index: int) -> C:
        registers = self.plan.catalog.registers.arguments
        if index >= len(registers):
            return C("0")
        return c("LOAD(u64, regs, {offset})", offset=self.offset(registers[index]))


_DURATIONS = {
    Flow.SYSCALL: "capture/duration.c.j2",
    Flow.TWICE: "capture/duration.c.j2",
    Flow.EXEC: "capture/kept_duration.c.j2",
}

_LOADS = {
    "task": ("POINTER({base}, {offset})", C("LOAD")),
    "child": ("READ(u64, {base}, {offset})", C("READ")),
}
"""How pointers and values are read, by the variable that they are reached from: of the task alone
the verifier knows the type."""

_RESULTS = {None: C("-1"), "descriptor": C("ret"), "root": C("ret ? -1 : PROCESS_ROOT")}
"""The descriptor by which a file is found after the call, or -1, by what the call's result is."""


def _kept_at_entry(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Keep all that can be read at the entry, and the time."""
    for captured, step in zip(event.captures, captures, strict=True):
        is_duration = isinstance(captured.origin, Elapsed)
        yield Step("capture/time.c.j2", step.name) if is_duration else step


def _durations(event: EventPlan, captures: list[Step], template: str) -> Iterator[Step]:
    for captured, step in zip(event.captures, captures, strict=True):
        if isinstance(captured.origin, Elapsed):
            yield Step(template, step.name)


def _image_steps(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Read the strings of a new image: the name from the kernel, the vector from its stack."""
    for captured, step in zip(event.captures, captures, strict=True):
        if isinstance(captured.origin, FileOf):
            yield Step("capture/unreadable.c.j2", step.name)
        elif isinstance(captured.origin, Captured) and captured.type.storage.variable:
            yield step
        elif captured.type.storage.variable:
            strings = isinstance(captured.type, Texts)
            template = "capture/image_strings.c.j2" if strings else "capture/image_string.c.j2"
            yield Step(
                template, step.name, mask=step.mask, limit=step.limit, limit_mask=step.limit_mask
            )


def _replaced(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Find the path of a new image, which must be the last variable value of the record."""
    for captured, step in zip(event.captures, captures, strict=True):
        if isinstance(captured.origin, FileOf):
            yield Step("capture/image_path.c.j2", step.name, mask=step.mask)


def _kept(event: EventPlan) -> list[Slot]:
    """Return the variable slots that a new image leaves as they are."""
    files = {field.name for field in event.captures if isinstance(field.origin, FileOf)}
    return [slot for slot in event.layout.variable if slot.name not in files]


def _any_unreadable(event: EventPlan) -> C:
    arguments = {field.name for field in event.captures if isinstance(field.origin, Argument)}
    names = [c_ident(slot.name) for slot in _kept(event) if slot.name in arguments]
    tests = [c("r->{name} == UNREADABLE", name=name) for name in names]
    return C(" || ".join(tests)) if tests else C("0")


TIMED_THREADS = 65536
"""Threads of which the last entry is known, at once; the calls of others are counted."""
LONGEST_PATH = 3 * 4096
"""Bytes that a path may reach for, to the verifier: thrice PATH_ROOM of path.c.j2."""
MOST_SCRATCH = 32 * 1024
"""Bytes that a value of a per-CPU map may have: PCPU_MIN_UNIT_SIZE, include/linux/percpu.h."""


def _scratch_words(plan: Plan) -> int:
    sizes = {event.name: _scratch_bytes(event) + key_room(event) for event in plan.events}
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
    it allows. A vector's string is written at most two masks behind its begin, a path within
    LONGEST_PATH, and an end of a text is compared, word by word, at most a mask and the text itself
    behind it. The key of a trie lies where the text does.
    """
    reach = event.layout.size + ones(event.layout.limit) + 1
    paths = {field.name for field in event.captures if isinstance(field.type, Path)}
    for slot in event.layout.variable:
        begin = event.layout.size + ones(bytes_before(event, slot))
        span = LONGEST_PATH if slot.name in paths else max(2 * ones(slot.limit), LONGEST_KEY)
        reach = max(reach, begin + span + 64)
    return -(-reach // 8) * 8


MOST_DEPTH = 128
"""Names and mounts of a path that are followed; trees on disk have about 60 at most."""


def _captures(plan: Plan) -> Iterator[Field]:
    return (field for event in plan.events for field in event.captures)


def _hook(hook: Hook, plan: Plan, alike: Alike) -> HookView:
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
            CallView(event.type.number, c_ident(event.name), event.layout.index)
            for event in events
            if event.type.number is not None
        ),
        number=plan.catalog.registers.number,
        counter=len(plan.events),
    )


def _stub(hook: Hook, plan: Plan) -> StubView:
    registers = plan.catalog.registers
    serves_all = hook.kind == "raw_tracepoint" and hook.edge is not None
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


_RAW = C("bpf_raw_tracepoint_args")
_CONTEXTS: dict[tuple[str, str | None], C] = {
    ("tracepoint", "enter"): C("call_entry"),
    ("tracepoint", "exit"): C("call_exit"),
    ("raw_tracepoint", "enter"): _RAW,
    ("raw_tracepoint", "exit"): _RAW,
    ("raw_tracepoint", None): _RAW,
}
"""What a function is given, by the kind and the edge of its hook."""

_FLOWS: dict[str, tuple[Flow, ...]] = {
    "enter": (Flow.EXEC, Flow.ENTRY),
    "exit": (Flow.EXEC, Flow.SYSCALL, Flow.TWICE),
    "sched_process_exec": (Flow.EXEC,),
    "sched_process_exit": (Flow.EXIT,),
    "sched_process_fork": (Flow.FORK,),
    "new_image": (Flow.IMAGE,),
}
"""Which events a hook is for, by the edge of calls or by its name."""


def _is_for(hook: Hook, event: EventPlan) -> bool:
    return event.type.flow in _FLOWS[hook.edge or hook.function] or (
        hook.edge == "enter" and event.is_timed
    )


def _hook_template(hook: Hook) -> str:
    if hook.edge is None:
        return f"hook/{hook.function}.c.j2"
    return f"hook/{_PLACES[hook.kind]}_{hook.edge}.c.j2"


_PLACES = {"tracepoint": "syscall", "raw_tracepoint": "raw"}
