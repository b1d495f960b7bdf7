"""An explanation as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from etracee.explain.model import (
    Captured,
    Clause,
    Counted,
    Decision,
    Event,
    Explanation,
    Map,
    Rule,
    Warning,
)
from etracee.problems import Place, Problem, printable


def render_text(explanation: Explanation) -> str:
    """Return the explanation as lines, control characters escaped."""
    parts = [
        _head(explanation),
        *(_event(event, names) for event, names in _alike(explanation.events).items()),
        *(_rule(rule) for rule in explanation.rules),
        _hooks(explanation),
        _maps(explanation),
        _said("warnings", (_warning(warning) for warning in explanation.warnings)),
        _said("not seen", explanation.notes),
    ]
    blocks = ("\n".join(map(printable, part)) for part in map(list, parts) if part)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(explanation: Explanation) -> Iterator[str]:
    yield f"profile {explanation.profile} {explanation.version or ''}".rstrip()
    yield f"attached by {explanation.attach.kind}: {explanation.attach.why}"
    yield (
        f"{_count(len(explanation.events), 'event')}, {_count(len(explanation.rules), 'rule')}, "
        f"{_count(len(explanation.hooks), 'program')}, "
        f"{_count(len(explanation.maps), 'map')} of about {_size(explanation.map_memory)}, "
        f"{_size(explanation.ring_buffer_bytes)} of them the ring buffer"
    )


def _alike(events: Iterable[Event]) -> dict[Event, list[str]]:
    """Put the events together of which the same is to be said; return the names of each kind."""
    found: dict[Event, list[str]] = {}
    for event in events:
        found.setdefault(replace(event, name=""), []).append(event.name)
    return found


MOST_EVENTS = 10
"""Events that are named where the same is said of more; JSON names all."""


def _event(event: Event, names: Sequence[str]) -> Iterator[str]:
    who = f"event{'s' if len(names) > 1 else ''} {', '.join(names[:MOST_EVENTS])}"
    if len(names) > MOST_EVENTS:
        who += f" and {len(names) - MOST_EVENTS} more"
    yield f"{who}: {', '.join(_fate(event))}"
    for number, stage in enumerate(event.kernel, 1):
        reads = f"after reading {', '.join(stage.reads)}: " if stage.reads else ""
        yield f"  kernel {number}. {reads}{stage.test}"
    if event.userspace:
        yield f"  userspace: {event.userspace}"
    if event.filter:
        yield f"  filter: {_decided(event.filter)}"
        yield from _clauses(event.filter)
    yield from _table([_field(field) for field in event.fields])


_SENT_FOR = {False: "sent for rules only", True: "sent for the table of processes"}
"""Why an event is sent that is not delivered, by whether the table is told of it."""


def _fate(event: Event) -> Iterator[str]:
    if event.counted:
        yield _counted(event.counted)
    if event.sent:
        yield f"{event.fixed_bytes} bytes"
        if event.largest_bytes > event.fixed_bytes:
            yield f"at most {event.largest_bytes}"
    if not event.delivered:
        yield _SENT_FOR[event.tells] if event.sent else "not sent"


def _counted(counted: Counted) -> str:
    by = f" by {', '.join(counted.by)}" if counted.by else ""
    spread = f" with a histogram of {counted.histogram}" if counted.histogram else ""
    return (
        f"counted{by}{spread} in keys of {counted.key_bytes} bytes, told every {counted.every:g} s"
    )


def _field(field: Captured) -> tuple[str, ...]:
    size = f"{field.bytes} + {field.limit}" if field.limit else f"{field.bytes}"
    return field.name, size, field.type, f"from {field.source}", f"for {_readers(field)}"


MOST_READERS = 5
"""Rules that are named as readers of a field; JSON names all."""


def _readers(field: Captured) -> str:
    own = [", ".join(reader.uses) for reader in field.readers if not reader.rule]
    rules = [f"{reader.rule} ({', '.join(reader.uses)})" for reader in field.readers if reader.rule]
    if len(rules) > MOST_READERS:
        rules[MOST_READERS:] = [f"{len(rules) - MOST_READERS} more rules"]
    return "; ".join((*own, *rules))


def _rule(rule: Rule) -> Iterator[str]:
    yield f"rule {rule.id} ({rule.level}): {rule.title}"
    for number, step in enumerate(rule.steps, 1):
        name = f" ({step.name})" if step.name else ""
        prefix = f"step {number}{name}, " if len(rule.steps) > 1 else ""
        for decision in step.decisions:
            yield f"  {prefix}{', '.join(decision.events)}: {_decided(decision)}"
            yield from _clauses(decision)
    if rule.state:
        yield f"  userspace counts: {rule.state}"
    if rule.actions != ("alert",):
        yield f"  actions: {', '.join(rule.actions)}"


def _decided(decision: Decision) -> str:
    because = f", because {decision.because}" if decision.because else ""
    return f"{_DECIDED[decision.decided]}{because}"


_DECIDED = {
    "kernel": "kernel, exactly",
    "kernel and userspace": "kernel in part, then userspace",
    "userspace": "userspace",
    "never": "never matches",
}


def _clauses(decision: Decision) -> Iterator[str]:
    for clause in decision.clauses:
        yield f"    {clause.text}: {_clause(clause)}"


def _clause(clause: Clause) -> str:
    if clause.decided == "kernel":
        return f"kernel, {clause.because}" if clause.because else "kernel"
    return f"userspace, because {clause.because}"


def _hooks(explanation: Explanation) -> list[str]:
    rows = [
        (hook.program, hook.kind, hook.place, f"slot {hook.slot}") for hook in explanation.hooks
    ]
    return ["programs", *_table(rows)]


def _maps(explanation: Explanation) -> list[str]:
    return ["maps", *_table([_map(m) for m in explanation.maps])]


def _map(m: Map) -> tuple[str, ...]:
    if m.kind == "ring buffer":
        return (m.name, m.kind, "", _size(m.memory))
    what = f"{_count(m.entries, 'entry', 'entries')} of {m.key_bytes} + {m.value_bytes} bytes"
    return (m.name, m.kind, what, f"about {_size(m.memory)}")


def _said(title: str, lines: Iterable[str]) -> list[str]:
    found = [f"  {line}" for line in lines]
    return [title, *found] if found else []


def _warning(warning: Warning) -> str:
    place = None
    if warning.file is not None and warning.line is not None and warning.column is not None:
        place = Place(warning.file, warning.line, warning.column)
    return str(Problem(place, warning.message, warning.hint))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _size(number: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if number >= unit:
            return f"{number / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{number} bytes"
