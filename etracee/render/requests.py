"""Steps that fill the record of a request of io_uring, and what its hooks are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from etracee.catalog import Field, Flow
from etracee.catalog.entries import PlaceEntry, TracepointEntry
from etracee.catalog.model import Elapsed, FileOf, InRequest, ReturnValue, SocketOf, Walk
from etracee.fragments import C, c, c_ident, c_int
from etracee.plan import EventPlan, Plan
from etracee.plan.attach import COMPLETED_REQUESTS, REFUSED_REQUESTS
from etracee.render.filters import bytes_before, ones
from etracee.render.lengths import bytes_told
from etracee.render.scratch import largest_record
from etracee.render.views import NOTHING, RequestView, Step
from etracee.types import Type

Offset = Callable[[str], C]

KEPT_BYTES = 16 << 20
"""Bytes of all requests that are kept between submission and completion."""
MOST_KEPT = 16384
"""Requests that are kept, however small they are."""


_FLAGS = ("io_kiocb.flags",)
"""With IOSQE_FIXED_FILE, 1, the descriptor is an index of the ring's own table of files."""


@dataclass(frozen=True)
class RequestSteps:
    """Makes the steps of one event: from the request itself, or from its entry in the ring."""

    event: EventPlan
    offset: Offset
    refused: bool

    def step(self, field: Field, origin: InRequest | FileOf | SocketOf) -> Step:
        """Return the step that reads a value, or finds a path; a socket is found at the end."""
        if isinstance(origin, SocketOf):
            return Step("capture/later.c.j2", c_ident(field.name))
        return self.path(field, origin) if isinstance(origin, FileOf) else self.read(field, origin)

    def read(self, field: Field, origin: InRequest) -> Step:
        slot = self.event.layout.slot(field.name)
        name, place = c_ident(field.name), origin.places[0]
        if not slot.storage.variable:
            value = self.number(place, slot.storage.c_type)
            return Step("capture/scalar.c.j2", name, value=value)
        memory = "" if self.is_in_user(place) else "kernel_"
        return Step(
            f"capture/{memory}{field.type.capture}.c.j2",
            name,
            value=self.address(place, field.type.capture),
            length=self.length(place, field.type),
            mask=ones(bytes_before(self.event, slot)),
            limit=slot.limit,
            limit_mask=ones(slot.limit),
        )

    def path(self, field: Field, origin: FileOf) -> Step:
        slot = self.event.layout.slot(field.name)
        name, mask = c_ident(field.name), ones(bytes_before(self.event, slot))
        if origin.held:
            return Step("capture/unreadable.c.j2", name)
        if origin.at_entry:
            return Step(
                "capture/descriptor_path.c.j2",
                name,
                value=c("file_of_descriptor(task, {fd})", fd=self.closed(origin.fd)),
                mask=mask,
                limit=slot.limit,
            )
        if origin.name is None:
            flag = self.entry("flags", "u8") if self.refused else self.value(_FLAGS, "u32")
            value = c("{f} & 1 ? -1 : {fd}", f=flag, fd=self.descriptor(origin.fd))
            template = "capture/path_of_descriptor.c.j2"
            return Step(template, name, value=value, mask=mask, limit=slot.limit)
        assert isinstance(origin.name, InRequest)
        place = origin.name.places[0]
        return Step(
            "capture/request_path.c.j2",
            name,
            value=self.address(place, "string"),
            length=C("AT_FDCWD_") if origin.at is None else self.descriptor(origin.at),
            base=c_int(int(not self.is_in_user(place))),
            mask=mask,
            limit=slot.limit,
        )

    def descriptor(self, origin: int | InRequest | None) -> C:
        assert isinstance(origin, InRequest)
        return self.number(origin.places[0], "s32")

    def closed(self, origin: int | InRequest | None) -> C:
        """Return the descriptor that is to be closed; a slot of the ring's own files is none."""
        operation = self.event.type.operation
        assert operation is not None and operation.slot is not None
        slot = (
            self.entry("file_index", "u32")
            if self.refused
            else self.value((operation.slot,), "u32")
        )
        return c("{slot} ? -1 : {fd}", slot=slot, fd=self.descriptor(origin))

    def is_in_user(self, place: PlaceEntry) -> bool:
        return self.refused or place.memory == "user"

    def number(self, place: PlaceEntry, c_type: str) -> C:
        kind = (place.entry_c if self.refused else None) or place.c or c_type
        value = self.entry(place.entry, kind) if self.refused else self.value(place.at, kind)
        return c("{v} & {m}", v=value, m=place.mask) if place.mask else value

    def address(self, place: PlaceEntry, capture: str) -> C:
        """Return where the bytes of a variable value begin."""
        if self.refused:
            return self.entry(place.entry, "u64")
        if place.memory == "user" or (capture == "string" and not place.inline):
            return self.value(place.at, "u64")
        base, offset = self.base(place.at), self.offset(place.at[-1])
        form = "find_address({b}, {o})" if place.or_alone else "{b} + {o}"
        return c(form, b=base, o=offset)

    def length(self, place: PlaceEntry, kind: Type) -> C:
        """Return the bytes of a value, as the request tells them."""
        if place.length is None:
            return NOTHING
        if isinstance(place.length, int) and not (self.refused and place.entry_length):
            return c_int(place.length)
        if self.refused:
            told, c_type = place.entry_length or "len", place.entry_length_c
            return bytes_told(kind, self.entry(told, c_type), c_type)
        assert not isinstance(place.length, int)
        return bytes_told(kind, self.value(place.length, place.length_c), place.length_c)

    def entry(self, member: str, kind: str) -> C:
        return c("READ({t}, entry, {o})", t=c_ident(kind), o=self.offset(f"io_uring_sqe.{member}"))

    def value(self, steps: tuple[str, ...], kind: str) -> C:
        return c(
            "READ({t}, {b}, {o})", t=c_ident(kind), b=self.base(steps), o=self.offset(steps[-1])
        )

    def base(self, steps: tuple[str, ...]) -> C:
        base = C("request")
        for step in steps[:-1]:
            base = c("READ(u64, {b}, {o})", b=base, o=self.offset(step))
        return base


def leader_steps(event: EventPlan, steps: list[Step]) -> Iterator[Step]:
    """Yield the steps that read what a thread has of its own, to read its leader's instead."""
    for field, step in zip(event.captures, steps, strict=True):
        if isinstance(field.origin, Walk) and len(field.origin.steps) == 1:
            yield step


def answered_steps(event: EventPlan, steps: list[Step], offset: Offset) -> Iterator[Step]:
    """Yield the steps that take what is known when a request is complete, before it is tested."""
    for field, step in zip(event.captures, steps, strict=True):
        if isinstance(field.origin, ReturnValue):
            yield replace(step, value=C("ret == UNANSWERED ? 0 : ret"))
        elif isinstance(field.origin, Elapsed):
            yield replace(step, template="capture/time_since_submission.c.j2")
        elif isinstance(field.origin, SocketOf):
            value = _held(offset)
            if field.origin.index is None:
                value = c("file_of_descriptor(task, {fd})", fd=_opened(event, offset))
            yield replace(step, template="capture/endpoints.c.j2", value=value)


def completed_steps(event: EventPlan, steps: list[Step], offset: Offset) -> Iterator[Step]:
    """Yield the steps that find paths when a request is complete, in place of what was joined."""
    for field, step in zip(event.captures, steps, strict=True):
        if isinstance(field.origin, FileOf) and field.origin.held:
            slot = event.layout.slot(field.name)
            yield replace(
                step,
                template="capture/descriptor_path.c.j2",
                value=_held(offset),
                mask=ones(bytes_before(event, slot)),
                limit=slot.limit,
            )
        elif isinstance(field.origin, FileOf) and field.origin.result == "descriptor":
            value = _opened(event, offset)
            yield replace(step, template="capture/opened_path.c.j2", value=value)


def _held(offset: Offset) -> C:
    """Return the file that the request is on, also one of the ring's own; 0 where it is on none."""
    return c("READ(u64, request, {o})", o=offset("io_kiocb.file"))


def _opened(event: EventPlan, offset: Offset) -> C:
    """Return the descriptor that the request has opened, or -1."""
    assert event.type.operation is not None
    slot = C("0")
    if event.type.operation.slot:
        slot = c("READ(u32, request, {o})", o=offset(event.type.operation.slot))
    return c("ret != UNANSWERED && has_descriptor(task, kept, {slot}) ? ret : -1", slot=slot)


def replaced_slots(event: EventPlan) -> set[str]:
    """Return the names of the values that are found anew when a request is complete."""
    return {
        field.name
        for field in event.captures
        if isinstance(field.origin, FileOf)
        and (field.origin.held or field.origin.result == "descriptor")
    }


def view_request_hook(function: str, plan: Plan, offset: Offset) -> RequestView | None:
    """Return the expressions of what a tracepoint of io_uring has; None of others."""
    operation = next((e.type.operation for e in plan.events if e.type.operation), None)
    if operation is None or function not in operation.hooks:
        return None
    tracepoint = operation.hooks[function]
    return RequestView(
        request=_argument(tracepoint.request),
        entry=_argument(tracepoint.entry),
        ring=_argument(tracepoint.ring),
        user_data=_of_completion(tracepoint, tracepoint.user_data, "u64", "user_data", offset),
        result=_of_completion(tracepoint, tracepoint.result, "s32", "res", offset),
        finish=next(h.slot for h in plan.hooks if h.function == _FINISH),
        branches=_BRANCHES.get(function, 0),
    )


_FINISH = "io_uring_completed"
"""The function that sends a request, whichever found its end."""
_BRANCHES = {"io_uring_refused": REFUSED_REQUESTS, _FINISH: COMPLETED_REQUESTS}


def _argument(index: int | None) -> C:
    return NOTHING if index is None else c("ctx->args[{i}]", i=index)


def _of_completion(
    tracepoint: TracepointEntry, index: int | None, kind: str, member: str, offset: Offset
) -> C:
    """Return an argument, or what the completion that one points to says."""
    if tracepoint.completion is None:
        return _argument(index)
    place, at = _argument(tracepoint.completion), offset(f"io_uring_cqe.{member}")
    return c("READ({t}, {p}, {o})", t=C(kind), p=place, o=at)


def opens(plan: Plan) -> bool:
    """Say whether what a request opens is looked at when it is complete."""
    events = (event for event in plan.events if event.type.flow is Flow.REQUEST)
    return any(_is_opened(field) for event in events for field in event.captures)


def _is_opened(field: Field) -> bool:
    origin = field.origin
    return (isinstance(origin, FileOf) and origin.result == "descriptor") or (
        isinstance(origin, SocketOf) and origin.index is None
    )


def request_slots(plan: Plan) -> int:
    """Return how large the array is of the functions for one event each."""
    return COMPLETED_REQUESTS + len(plan.events)


def request_entries(plan: Plan) -> int:
    """Return how many requests are kept at a time."""
    size = largest_record(plan, Flow.REQUEST)
    return min(KEPT_BYTES // size, MOST_KEPT) if size else 0
