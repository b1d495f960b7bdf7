"""Turn a Plan into the views that the C templates show."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from etracee.catalog import Field, Flow
from etracee.catalog.model import (
    Argument,
    Captured,
    Elapsed,
    FileOf,
    InRequest,
    Passed,
    Reading,
    ReturnValue,
    SocketOf,
    Walk,
)
from etracee.event import NEGATIVE, Slot
from etracee.fragments import C, c, c_comment, c_ident, c_int
from etracee.operators.base import CFunction
from etracee.operators.grams import WORDS
from etracee.plan import EventPlan, Plan
from etracee.plan.attach import RAW_SLOTS, TRACEPOINT_SLOTS
from etracee.plan.pushdown import KILLED
from etracee.render import sizes
from etracee.render.abi import (
    ABI_ARGUMENTS,
    ABI_TEMPLATES,
    NUMBER_STEP,
    abi_origin,
    abi_step,
    native_steps,
)
from etracee.render.alike import ALIKE, find_alike, is_alike
from etracee.render.counts import key_bytes, view_count
from etracee.render.filters import bytes_before, ones, view_filters, view_map, with_tests
from etracee.render.hooks import view_hook, view_stub
from etracee.render.lengths import length_of
from etracee.render.requests import (
    RequestSteps,
    answered_steps,
    completed_steps,
    leader_steps,
    opens,
    replaced_slots,
    request_entries,
    request_slots,
    view_request_hook,
)
from etracee.render.room import bytes_for_all, name_ending, refused_if
from etracee.render.scratch import count_bytes, largest_record, scratch_bytes, scratch_words
from etracee.render.views import (
    EventView,
    ProgramView,
    Step,
    view_slot,
)
from etracee.render.walk import Offset, Walker
from etracee.types.cgroup import CgroupPath
from etracee.types.descriptor import DescriptorPath
from etracee.types.path import KernelPath, Path
from etracee.types.texts import Texts

_TEMPLATES = {
    Flow.SYSCALL: "syscall.c.j2",
    Flow.TWICE: "twice.c.j2",
    Flow.ENTRY: "entry.c.j2",
    Flow.EXEC: "exec.c.j2",
    Flow.FORK: "fork.c.j2",
    Flow.IMAGE: "image.c.j2",
    Flow.EXIT: "exit.c.j2",
    Flow.REQUEST: "request.c.j2",
}


def view_program(plan: Plan, offset: Offset) -> ProgramView:
    """Return what the templates need for `plan`."""
    builder = _EventBuilder(plan, offset)
    alike = find_alike(plan.events, builder.event)
    events = tuple(map(builder.event, alike.distinct(plan.events)))
    has_paths = any(isinstance(field.type, Path | KernelPath) for field in _captures(plan))
    has_sockets = any(isinstance(field.origin, SocketOf) for field in _captures(plan))
    flows = {event.name: event.type.flow for event in plan.events}
    return ProgramView(
        tree=plan.tree,
        tracked_processes=sizes.TRACKED_PROCESSES,
        weighs=plan.weighs,
        sample=sizes.SAMPLE,
        loads=C("typed" if plan.typed_loads else "helper"),
        tracepoint_slots=TRACEPOINT_SLOTS,
        raw_slots=RAW_SLOTS,
        function_slots=tuple(c_ident(hook.slots) for hook in plan.hooks if hook.is_at_function),
        counters=len(plan.events) + 1,
        scratch_words=scratch_words(plan),
        times=any(event.takes_time for event in plan.events),
        notes_entries=any(event.is_timed for event in plan.events),
        pairs=any(event.takes_time or event.closes for event in plan.events),
        closes=any(event.closes for event in plan.events),
        closing_threads=sizes.CLOSING_THREADS,
        closing_bytes=sizes.CLOSING_BYTES,
        closing_processes=sizes.CLOSING_PROCESSES,
        ended_processes=sizes.ENDED_PROCESSES,
        protected_processes=sizes.PROTECTED_PROCESSES,
        other_execs=sizes.OTHER_EXECS,
        timed_threads=sizes.TIMED_THREADS,
        descriptors=has_paths or has_sockets,
        paths=has_paths,
        sockets=has_sockets,
        cgroups=any(isinstance(field.type, CgroupPath) for field in _captures(plan)),
        path_depth=sizes.MOST_DEPTH,
        ring_pages=plan.options.ring_buffer // mmap.PAGESIZE,
        nearly_full=bytes_for_all(plan),
        events=events,
        exec_events=tuple(event for event in events if flows.get(event.name) is Flow.EXEC),
        call_words=largest_record(plan, Flow.EXEC) // 8,
        calls=sizes.CALLS_UNDER_WAY,
        request_events=tuple(event for event in events if flows.get(event.name) is Flow.REQUEST),
        request_words=largest_record(plan, Flow.REQUEST) // 8,
        request_entries=request_entries(plan),
        request_slots=request_slots(plan),
        opens=opens(plan),
        hooks=tuple(view_hook(hook, plan, alike, offset) for hook in plan.hooks),
        stubs=tuple(view_stub(h, plan) for h in {hook.stub: hook for hook in plan.hooks}.values()),
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
    is_abi: bool = False
    """Whether the arguments are those of a 32-bit call, which have been gathered."""

    def event(self, event: EventPlan) -> EventView:
        layout = event.layout
        slots = {slot.name: view_slot(slot) for slot in layout.slots}
        filters = view_filters(event, self.plan, self.functions)
        unfiltered = [self.step(event, field) for field in event.captures]
        steps = tuple(with_tests(unfiltered, event, filters))
        name = c_ident(event.name)
        view = EventView(
            template=ALIKE if is_alike(event) else _TEMPLATES[event.type.flow],
            name=name,
            title=c("{name}: {doc}", name=name, doc=c_comment(event.type.doc)),
            index=C("index") if is_alike(event) else c_int(layout.index),
            size=layout.size,
            bytes=count_bytes(event),
            slots=tuple(slots[s.name] for s in sorted(layout.slots, key=lambda s: s.offset)),
            variable=tuple(slots[slot.name] for slot in _kept(event)),
            filters=filters,
            count=view_count(event, scratch_bytes(event), self.functions),
            ending=name_ending(event, weighs=self.plan.weighs),
            refused_if=refused_if(event),
            kills=c_int(event.kills),
            killed=c_int(1 << KILLED),
            sent=(Step("kill.c.j2"),) if event.kills else (),
            steps=(*native_steps(event), *steps),
            unfiltered=(*native_steps(event), *_kept_at_entry(event, unfiltered)),
            image=tuple(_image_steps(event, unfiltered)),
            replaced=tuple(_replaced(event, unfiltered)),
            rejections=tuple(step for step in steps if step.test),
            ended=tuple(_durations(event, unfiltered, "capture/time_since.c.j2")),
            entered=tuple(self.entered(event)),
            abi_entered=(),
            is_timed=event.is_timed,
            unreadable=_any_unreadable(event),
        )
        if event.is_abi_told:
            return self.abi(event, view)
        return self.request(event, view) if event.type.flow is Flow.REQUEST else view

    def abi(self, event: EventPlan, view: EventView) -> EventView:
        """Return the view with the steps of 32-bit calls."""
        builder = replace(self, is_abi=True)
        captures = [abi_step(field, builder.step(event, field)) for field in event.captures]
        steps = with_tests(captures, event, view.filters)
        return replace(
            view,
            abi_template=ABI_TEMPLATES[event.type.flow],
            abi_steps=(NUMBER_STEP, *steps),
            abi_entered=tuple(builder.entered(event)),
            abi_unfiltered=(NUMBER_STEP, *_kept_at_entry(event, captures)),
        )

    def request(self, event: EventPlan, view: EventView) -> EventView:
        """Return the view with the steps that only a request of io_uring has."""
        steps = list(view.unfiltered)
        return replace(
            view,
            refused=tuple(self.step(event, field, refused=True) for field in event.captures),
            submitted_by=view_request_hook("io_uring_submitted", self.plan, self.offset),
            refused_by=view_request_hook("io_uring_refused", self.plan, self.offset),
            of_leader=tuple(leader_steps(event, steps)),
            answered=tuple(answered_steps(event, steps, self.offset)),
            replaced=tuple(completed_steps(event, steps, self.offset)),
        )

    def step(self, event: EventPlan, field: Field, *, refused: bool = False) -> Step:
        origin = field.origin
        if event.type.flow is Flow.REQUEST and isinstance(origin, InRequest | FileOf | SocketOf):
            return RequestSteps(event, self.offset, refused).step(field, origin)
        return self.step_of_call(event, field)

    def step_of_call(self, event: EventPlan, field: Field) -> Step:
        """Return the step that captures a field, by where the value comes from."""
        builders: dict[type, Callable[..., Step]] = {
            Argument: self.argument,
            Captured: self.captured,
            Elapsed: self.elapsed,
            FileOf: self.path,
            Reading: self.argument,
            ReturnValue: self.result,
            SocketOf: self.socket,
            Walk: self.walk,
        }
        step = builders[type(field.origin)](event, field, field.origin)
        slot = event.layout.slot(field.name)
        if not slot.storage.variable:
            return step
        mask, limit_mask = ones(bytes_before(event, slot)), ones(slot.limit)
        return replace(step, mask=mask, limit=slot.limit, limit_mask=limit_mask)

    def walk(self, event: EventPlan, field: Field, origin: Walk) -> Step:
        walk = Walker(origin.of, self.offset)
        for step in origin.steps[:-1]:
            walk.follow(step)
        slot = event.layout.slot(field.name)
        last = walk.offset_of(origin.steps[-1], optional=origin.optional)
        if slot.storage.variable or slot.storage.array:
            words = tuple(range(0, slot.size, 8))
            return replace(_plain(field), base=walk.base, offset=last, words=words)
        value = walk.value(C(slot.storage.c_type), last)
        if origin.optional:
            none = c_int(field.type.missing or 0)
            value = c("{o} < 0 ? {n} : {v}", o=last, n=none, v=value)
        return replace(_plain(field), value=value)

    def captured(self, _event: EventPlan, field: Field, origin: Captured) -> Step:
        return Step(f"capture/{origin.template}.c.j2", c_ident(field.name))

    def elapsed(self, event: EventPlan, field: Field, _origin: Elapsed) -> Step:
        return Step(_DURATIONS[event.type.flow], c_ident(field.name))

    def result(self, _event: EventPlan, field: Field, _origin: ReturnValue) -> Step:
        return replace(_plain(field), value=C("ret"))

    def socket(self, _event: EventPlan, field: Field, origin: SocketOf) -> Step:
        value = C("ret") if origin.index is None else self.descriptor(origin.index)
        return replace(_plain(field), value=c("file_of_descriptor(task, {fd})", fd=value))

    def argument(self, event: EventPlan, field: Field, origin: Passed) -> Step:
        origin = abi_origin(event.type, origin) if self.is_abi else origin
        value = self.register(origin.index)
        if not field.type.storage.variable:
            kind = C(event.layout.slot(field.name).storage.c_type)
            return replace(_plain(field), value=c("({t}){v}", t=kind, v=value))
        if origin.at is not None:
            value = c("USER({t}, {v} + {at})", t=C(origin.pointer), v=value, at=origin.at)
        step = _plain(field)
        if origin.returned:
            value = c("RETURNED(ret, {value})", value=value)
            step = replace(step, template=_RETURNED.get(step.template, step.template))
        length = length_of(field.type, origin.length, self.register)
        return replace(step, value=value, length=length)

    def path(self, event: EventPlan, field: Field, origin: FileOf) -> Step:
        result = _RESULTS[origin.result]
        if origin.at_entry:
            return Step("capture/closed_file.c.j2", c_ident(field.name), value=_is_first(event))
        if origin.name is None:
            value = result if origin.fd is None else self.descriptor(origin.fd)
            if isinstance(field.type, DescriptorPath):
                return replace(_plain(field), value=c("file_of_descriptor(task, {v})", v=value))
            return Step("capture/path_of_descriptor.c.j2", c_ident(field.name), value=value)
        return replace(
            _plain(field),
            value=self.register(origin.name),
            length=C("AT_FDCWD_") if origin.at is None else self.descriptor(origin.at),
            base=result,
        )

    def entered(self, event: EventPlan) -> Iterator[Step]:
        """Yield the steps that find, at the entry, what the call is to close."""
        for captured in event.captures if event.closes else ():
            origin = captured.origin
            if isinstance(origin, FileOf) and isinstance(origin.fd, int) and origin.at_entry:
                value = c("file_of_descriptor(task, {fd})", fd=self.descriptor(origin.fd))
                limit, name = event.layout.slot(captured.name).limit, c_ident(captured.name)
                yield Step("capture/closing_file.c.j2", name, value=value, limit=limit)

    def descriptor(self, index: int | InRequest) -> C:
        return c("(s32){register}", register=self.register(index))

    def register(self, index: int | InRequest) -> C:
        assert isinstance(index, int), "only requests of io_uring have places"
        if self.is_abi:
            return c("arguments[{i}]", i=index) if index < ABI_ARGUMENTS else C("0")
        registers = self.plan.catalog.registers.arguments
        if index >= len(registers):
            return C("0")
        return c("LOAD(u64, regs, {offset})", offset=self.offset(registers[index]))


_DURATIONS = {
    Flow.SYSCALL: "capture/duration.c.j2",
    Flow.TWICE: "capture/duration.c.j2",
    Flow.EXEC: "capture/kept_duration.c.j2",
    Flow.REQUEST: "capture/time.c.j2",
}

_RETURNED = {"capture/bytes.c.j2": "capture/returned_bytes.c.j2"}
"""What captures instead, where it is the call that has left the value."""

_SET: dict[str | None, C] = {
    name: C(f"ret ? -1 : PROCESS_{name.upper()}") for name in ("root", "pwd")
}
_RESULTS: Mapping[str | None, C] = {None: C("-1"), "descriptor": C("ret"), **_SET}
"""The descriptor by which a file is found after the call, or -1, by what the call's result is."""


def _plain(field: Field) -> Step:
    return Step(f"capture/{field.type.capture}.c.j2", c_ident(field.name))


def _kept_at_entry(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Keep all that can be read at the entry, and the time."""
    for captured, step in zip(event.captures, captures, strict=True):
        is_duration = isinstance(captured.origin, Elapsed)
        yield Step("capture/time.c.j2", step.name) if is_duration else step


def _durations(event: EventPlan, captures: list[Step], template: str) -> Iterator[Step]:
    for captured, step in zip(event.captures, captures, strict=True):
        if isinstance(captured.origin, Elapsed):
            yield Step(template, step.name)


def _is_first(event: EventPlan) -> C:
    """Return whether a call that lacks what it closes has not been counted as lacking its time."""
    times = (field.name for field in event.captures if isinstance(field.origin, Elapsed))
    return next((c("r->{name} != UNKNOWN_TIME", name=c_ident(name)) for name in times), C("1"))


def _image_steps(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Read the strings of a new image: the name from the kernel, the vector from its stack."""
    before = C("0")
    for captured, step in zip(event.captures, captures, strict=True):
        if isinstance(captured.origin, FileOf):
            yield Step("capture/unreadable.c.j2", step.name)
        elif isinstance(captured.type, KernelPath):
            yield Step("capture/kept.c.j2", step.name, value=before, mask=step.mask)
        elif isinstance(captured.origin, Captured) and captured.type.storage.variable:
            yield step
        elif captured.type.storage.variable:
            strings = isinstance(captured.type, Texts)
            template = "capture/image_strings.c.j2" if strings else "capture/image_string.c.j2"
            yield Step(
                template, step.name, mask=step.mask, limit=step.limit, limit_mask=step.limit_mask
            )
        if captured.type.storage.variable:
            before = c("{b} + BYTES(kept->{n})", b=before, n=step.name)


def _replaced(event: EventPlan, captures: list[Step]) -> Iterator[Step]:
    """Find the path of a new image, which must be the last variable value of the record."""
    for captured, step in zip(event.captures, captures, strict=True):
        if isinstance(captured.origin, FileOf):
            yield Step("capture/image_path.c.j2", step.name, mask=step.mask, limit=step.limit)


def _kept(event: EventPlan) -> list[Slot]:
    """Return the variable slots that a new image, or a request's end, leaves as they are."""
    files = {field.name for field in event.captures if isinstance(field.origin, FileOf)}
    replaced = replaced_slots(event) if event.type.flow is Flow.REQUEST else files
    return [slot for slot in event.layout.variable if slot.name not in replaced]


def _any_unreadable(event: EventPlan) -> C:
    """Return whether an argument could not be read; what has no path has none later either."""
    arguments = {field.name for field in event.captures if isinstance(field.origin, Passed)}
    names = [c_ident(slot.name) for slot in _kept(event) if slot.name in arguments]
    tests = [c("r->{name} == UNREADABLE", name=name) for name in names]
    return C(" || ".join(tests)) if tests else C("0")


def _captures(plan: Plan) -> Iterator[Field]:
    return (field for event in plan.events for field in event.captures)
