"""What the C templates are given: fragments in the shape of the text, nothing left to decide."""

from __future__ import annotations

from dataclasses import dataclass

from etracee.fragments import C

NOTHING = C("")


@dataclass(frozen=True)
class Step:
    """One step of filling a record: a capture or a test. Its template says which parts it has."""

    template: str
    name: C = NOTHING
    value: C = NOTHING
    length: C = NOTHING
    base: C = NOTHING
    offset: C = NOTHING
    words: tuple[int, ...] = ()
    mask: int = 0
    limit: int = 0
    limit_mask: int = 0
    test: C = NOTHING


@dataclass(frozen=True)
class SlotView:
    """A member of a record."""

    name: C
    declaration: C
    offset: int


@dataclass(frozen=True)
class TextView:
    """A pointer to a variable slot's bytes."""

    name: C
    place: C


@dataclass(frozen=True)
class TestView:
    """A filter function."""

    name: C
    what: C
    texts: tuple[TextView, ...]
    expression: C


@dataclass(frozen=True)
class EventView:
    """An event's record, tests and functions."""

    template: str
    name: C
    title: C
    index: int
    size: int
    size_mask: int
    slots: tuple[SlotView, ...]
    variable: tuple[SlotView, ...]
    tests: tuple[TestView, ...]
    steps: tuple[Step, ...]
    unfiltered: tuple[Step, ...]
    image: tuple[Step, ...]
    rejections: tuple[Step, ...]
    unreadable: C


@dataclass(frozen=True)
class CallView:
    """A call within a hook that all calls pass."""

    number: int
    event: C
    index: int


@dataclass(frozen=True)
class HookView:
    """A function that is attached."""

    template: str
    function: C
    name: C
    event: C = NOTHING
    events: tuple[C, ...] = ()
    calls: tuple[CallView, ...] = ()
    number: str = ""
    compat_member: str = ""
    compat_bits: int = 0
    counter: int = 0


@dataclass(frozen=True)
class ProgramView:
    """The whole program."""

    tree: bool
    loads: C
    counters: int
    scratch_words: int
    ring_pages: int
    events: tuple[EventView, ...]
    exec_events: tuple[EventView, ...]
    hooks: tuple[HookView, ...]
    functions: tuple[C, ...]
