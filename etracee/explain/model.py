"""What `etracee explain` says, in the shape in which it is printed as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decided = Literal["kernel", "kernel and userspace", "userspace", "never"]


@dataclass(frozen=True)
class Clause:
    """A comparison. `because` says why userspace makes it, or where the kernel looks it up."""

    text: str
    decided: Literal["kernel", "userspace"]
    because: str | None = None


@dataclass(frozen=True)
class Decision:
    """An expression, for these events.

    `kernel` decides alone. With `kernel and userspace`, the kernel holds back some of what does not
    match, and userspace decides on the rest. `never`: no event of these can match. `because` says
    why userspace decides again what the kernel could.
    """

    events: tuple[str, ...]
    decided: Decided
    clauses: tuple[Clause, ...]
    because: str | None = None


@dataclass(frozen=True)
class Step:
    """A step of a rule, with a decision for each group of events that are decided alike."""

    name: str | None
    decisions: tuple[Decision, ...]


@dataclass(frozen=True)
class Rule:
    """A rule; `state` is what userspace counts or waits for, beyond single events."""

    id: str
    title: str
    level: str
    steps: tuple[Step, ...]
    state: str | None
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A test in the kernel, in the order of these; `reads` is what is captured just before it."""

    name: str
    reads: tuple[str, ...]
    test: str


@dataclass(frozen=True)
class Reader:
    """Who wants a field, and for what; `rule` is None for the profile."""

    rule: str | None
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Captured:
    """A field in the record: `bytes` of its fixed part, and up to `limit` more behind that.

    `source` is where the kernel's program reads it from.
    """

    name: str
    type: str
    bytes: int
    limit: int
    source: str
    readers: tuple[Reader, ...]


@dataclass(frozen=True)
class Counted:
    """What an event is counted by in the kernel, and the bytes of a key."""

    by: tuple[str, ...]
    histogram: str | None
    key_bytes: int
    every: float
    """Seconds between counts."""


@dataclass(frozen=True)
class Event:
    """An event. `delivered`: it is sent for its own sake, and not for rules alone.

    With `counted`, it is counted in place of that, and `sent` says whether rules want it besides.
    `tells`: each one is sent, since fields of other events depend on what it says.

    `kernel` are the tests there, in their order; the kernel's ring gets what passes. `userspace` is
    what is left of the filters. A record has `fixed_bytes`, and `largest_bytes` at most.
    """

    name: str
    delivered: bool
    sent: bool
    tells: bool
    counted: Counted | None
    kernel: tuple[Stage, ...]
    filter: Decision | None
    userspace: str | None
    fields: tuple[Captured, ...]
    fixed_bytes: int
    largest_bytes: int


@dataclass(frozen=True)
class Hook:
    """A program, where it is attached, or which one goes on to it, and the slot that it has."""

    program: str
    kind: str
    place: str
    slot: int


@dataclass(frozen=True)
class Map:
    """A BPF map. `memory` is about what it takes in bytes, on all CPUs together."""

    name: str
    kind: str
    key_bytes: int
    value_bytes: int
    entries: int
    memory: int


@dataclass(frozen=True)
class Attachment:
    """How calls are met, and who has chosen that."""

    kind: str
    why: str


@dataclass(frozen=True)
class Warning:
    """Something doubtful: where it was written, what, and what to do about it."""

    file: str | None
    line: int | None
    column: int | None
    message: str
    hint: str | None


@dataclass(frozen=True)
class Explanation:
    """All that is said of a profile and its rules. Sizes are in bytes.

    `scratch_bytes` is where a record is put together, once for each CPU. `notes` say what
    happens unseen.
    """

    profile: str
    version: str | None
    attach: Attachment
    events: tuple[Event, ...]
    rules: tuple[Rule, ...]
    hooks: tuple[Hook, ...]
    maps: tuple[Map, ...]
    ring_buffer_bytes: int
    scratch_bytes: int
    map_memory: int
    warnings: tuple[Warning, ...]
    notes: tuple[str, ...]
