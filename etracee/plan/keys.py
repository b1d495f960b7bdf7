"""What is counted: the place of each value in a key, and that the kernel can tell it alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from etracee.catalog import Field
from etracee.catalog.model import Derivation
from etracee.event import KEY_HEAD, EventLayout, Storage
from etracee.expr.cform import c_form_of
from etracee.expr.tree import Test, leaves
from etracee.operators.base import Refusal
from etracee.plan.demand import Demand
from etracee.plan.layout import alignment, place, round_up
from etracee.plan.model import CountPlan, EventPlan, KeyPart
from etracee.plan.resolve_counts import ResolvedCount
from etracee.plan.values import RecordOperands
from etracee.plan.warnings import filters_of, place_of
from etracee.problems import Problem, ProblemsError
from etracee.profile import Profile
from etracee.profile.written import Located
from etracee.types import Kind

LONGEST_KEY = 512
"""Bytes of a key: MAX_BPF_STACK, which old kernels allow a hash (kernel/bpf/hashtab.c)."""


def lay_out_keys(
    profile: Profile, demands: Iterable[Demand], layouts: Iterable[EventLayout]
) -> dict[str, CountPlan]:
    """Return, by event, what is counted by with its places; ProblemsError for what has none."""
    problems: dict[Problem, None] = {}
    counts = {}
    for demand, layout in zip(demands, layouts, strict=True):
        if demand.event.counted is not None:
            written = _Written(profile, layout.event)
            refused = list(_refusals(demand.event.counted, layout, written))
            if not refused:
                count = _lay_out_key(demand.event.counted, layout, profile.options.max_string)
                refused = list(_too_long(count, written))
                counts[layout.event] = count
            problems |= dict.fromkeys(refused)
    if problems:
        raise ProblemsError(list(problems))
    return counts


def check_counted(profile: Profile, events: Iterable[EventPlan]) -> None:
    """Raise ProblemsError where the kernel cannot decide alone which events are to be counted."""
    problems = [
        problem for event in events if event.counting for problem in _undecided(profile, event)
    ]
    if problems:
        raise ProblemsError(list(dict.fromkeys(problems)))


class _Written:
    """Where it stands what an event is counted by."""

    def __init__(self, profile: Profile, event: str) -> None:
        own, general = profile.events[event].count, profile.count
        self.counts = [count for count in (own, general) if count]

    def by(self) -> Located | None:
        return next((count.where.below("by") for count in self.counts if count.by), None)

    def of(self, field: Field) -> Located | None:
        names = [n for count in self.counts for n in (*(count.by or ()), count.histogram) if n]
        return next((name for name in names if name.text == field.name), None)


def _lay_out_key(counted: ResolvedCount, layout: EventLayout, max_string: int) -> CountPlan:
    """Return the key: its head, then the values from the widest alignment to the narrowest."""
    values = [(part.field.name, _storage(part.field, layout, max_string), 0) for part in counted.by]
    values.sort(key=lambda value: -alignment(value[1]))
    slots, end = place(values, KEY_HEAD.size)
    key = EventLayout(layout.event, layout.index, slots, round_up(end, 8))
    return CountPlan(counted.by, counted.histogram, key)


def _storage(field: Field, layout: EventLayout, max_string: int) -> Storage:
    """Return how a value lies in a key; a text takes its room whatever its length."""
    if not field.type.storage.variable:
        return field.type.storage
    limits = {slot.name: slot.limit for slot in layout.variable}
    room = round_up(min(limits.get(field.name, 0), max_string), 8)
    return Storage("char", f"{room}s", room, array=room)


def _refusals(counted: ResolvedCount, layout: EventLayout, written: _Written) -> Iterator[Problem]:
    """Yield what only Python could tell."""
    operands = RecordOperands(layout, {}, {})
    for part in counted.parts:
        reason = _why_not(part, operands)
        if reason is not None:
            text = written.of(part.field)
            message = f"the kernel cannot count by {part.field.name}: {reason}"
            yield Problem(text.place() if text else None, message)


def _why_not(part: KeyPart, operands: RecordOperands) -> str | None:
    for test in leaves(part.implied):
        form = c_form_of(test, operands) if isinstance(test, Test) else None
        if isinstance(form, Refusal):
            return form.reason
    if isinstance(part.field.origin, Derivation):
        return None
    if part.field.kind is Kind.TEXTS:
        return "a list of texts makes no key"
    operand = operands.of(part.field)
    return operand.reason if isinstance(operand, Refusal) else None


def _too_long(count: CountPlan, written: _Written) -> Iterator[Problem]:
    if count.layout.size > LONGEST_KEY:
        text = written.by()
        message = f"a key of {count.layout.event} takes {count.layout.size} bytes, of {LONGEST_KEY}"
        hint = "lower options.max_string, or count by fewer texts"
        yield Problem(text.place() if text else None, message, hint)


def _undecided(profile: Profile, event: EventPlan) -> Iterator[Problem]:
    for test, reason in event.filter_refused.items():
        message = f"`{test.text}` cannot be decided in the kernel, where {event.name} is counted"
        hint = "filter by something else, or set `mode: events` for this event"
        place = place_of([test], filters_of(profile, event.name))
        yield Problem(place, f"{message}: {reason}", hint)
