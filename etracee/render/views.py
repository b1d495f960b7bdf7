"""What the C templates are given: fragments in the shape of the text, nothing left to decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from etracee.event import Slot
from etracee.fragments import C, c, c_ident

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
    cut: C = NOTHING


@dataclass(frozen=True)
class SlotView:
    """A member of a record."""

    name: C
    declaration: C
    offset: int


def view_slot(slot: Slot) -> SlotView:
    """Return the slot as a member of a structure."""
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


@dataclass(frozen=True)
class TextView:
    """A pointer to a variable slot's bytes, or behind them."""

    name: C
    place: C


@dataclass(frozen=True)
class TestView:
    """A function that tests a record; `looked_up` are fields of which it asks the trie."""

    name: C
    texts: tuple[TextView, ...]
    ends: tuple[TextView, ...]
    looked_up: tuple[C, ...]
    looked_up_late: tuple[C, ...]
    searched: tuple[C, ...]
    expression: C


@dataclass(frozen=True)
class FinderView:
    """A function that looks a field of a record up in its trie."""

    template: str
    name: C
    size: int
    texts: tuple[TextView, ...]
    exists: C
    value: C = NOTHING
    low: C = NOTHING
    length: C = NOTHING
    cut: C = NOTHING
    mask: int = 0

    def filled(self, **parts: Any) -> FinderView:
        """Return the view with what its template needs besides."""
        return replace(self, **parts)


@dataclass(frozen=True)
class BitView:
    """A bit of a record's `rules`, and when it is set."""

    mask: C
    expression: C


@dataclass(frozen=True)
class FiltersView:
    """All tests of an event."""

    finders: tuple[FinderView, ...]
    tests: tuple[TestView, ...]
    has_rules: bool
    always: C
    bits: tuple[BitView, ...]
    gate: C
    rules: TestView


@dataclass(frozen=True)
class MapView:
    """A trie: bytes of a key, words of a mask, number of entries."""

    name: C
    size: int
    words: int
    entries: int


@dataclass(frozen=True)
class KeyPartView:
    """A value of a key, and what is done where the event does not have it."""

    template: str
    name: C
    value: C
    exists: C
    missing: C
    bit: C = NOTHING
    low: C = NOTHING
    words: tuple[int, ...] = ()
    room: int = 0
    mask: int = 0


@dataclass(frozen=True)
class CountView:
    """An event's key, which is put together `offset` bytes behind the beginning of the record."""

    slots: tuple[SlotView, ...]
    offset: int
    texts: tuple[TextView, ...]
    parts: tuple[KeyPartView, ...]


@dataclass(frozen=True)
class EventView:
    """An event's record, tests and functions."""

    template: str
    name: C
    title: C
    index: C
    size: int
    bytes: C
    slots: tuple[SlotView, ...]
    variable: tuple[SlotView, ...]
    filters: FiltersView
    count: CountView | None
    ending: str
    refused_if: C
    kills: C
    killed: C
    sent: tuple[Step, ...]
    steps: tuple[Step, ...]
    unfiltered: tuple[Step, ...]
    image: tuple[Step, ...]
    replaced: tuple[Step, ...]
    rejections: tuple[Step, ...]
    ended: tuple[Step, ...]
    entered: tuple[Step, ...]
    abi_entered: tuple[Step, ...]
    is_timed: bool
    unreadable: C
    refused: tuple[Step, ...] = ()
    submitted_by: RequestView | None = None
    refused_by: RequestView | None = None
    abi_template: str | None = None
    abi_steps: tuple[Step, ...] = ()
    abi_unfiltered: tuple[Step, ...] = ()
    of_leader: tuple[Step, ...] = ()
    answered: tuple[Step, ...] = ()


@dataclass(frozen=True)
class CallView:
    """A call within a hook that all calls pass."""

    number: int
    event: C
    index: int


@dataclass(frozen=True)
class HookView:
    """A function that runs at a hook, called by a stub from its slot."""

    template: str
    function: C
    name: C
    context: C
    event: C = NOTHING
    events: tuple[C, ...] = ()
    calls: tuple[CallView, ...] = ()
    stem: C = NOTHING
    more: C = NOTHING
    number: str = ""
    counter: int = 0
    request: RequestView | None = None
    abi: AbiHookView | None = None
    machine: int = 0
    serves_abi: bool = False
    compat_member: str = ""
    compat_bits: int = 0
    abi_numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class AbiCaseView:
    """What a 32-bit call may stand for: an event, when, with which arguments.

    These are taken out of the call's own, or of `words` words that lie where `memory` points to.
    """

    template: str
    event: C
    condition: C
    memory: C
    words: int
    arguments: tuple[C, ...]


@dataclass(frozen=True)
class AbiHookView:
    """A hook of a 32-bit call: its number, where its arguments lie, and what it may stand for."""

    number: int
    arguments: tuple[str, ...]
    cases: tuple[AbiCaseView, ...]


@dataclass(frozen=True)
class RequestView:
    """Where a hook of io_uring's has its request, the entry of it in the ring, and the result.

    `ring` and `user_data` tell a request where there is no pointer to it; `finish` is the slot of
    the function that sends it. `branches` is where the hook's functions for one event each begin.
    """

    request: C
    entry: C
    ring: C
    user_data: C
    result: C
    finish: int
    branches: int


@dataclass(frozen=True)
class StubView:
    """What is attached: a function that calls the one in slot `slot` of `slots`.

    Where all calls pass, that slot is the one of call 0 on this edge, and `calls` have one.
    """

    template: str
    function: C
    context: C
    slots: C
    slot: int
    calls: int
    number: str
    compat_member: str
    compat_bits: int


@dataclass(frozen=True)
class ProgramView:
    """The whole program."""

    tree: bool
    tracked_processes: int
    weighs: bool
    sample: int
    loads: C
    tracepoint_slots: int
    raw_slots: int
    function_slots: tuple[C, ...]
    counters: int
    scratch_words: int
    times: bool
    notes_entries: bool
    pairs: bool
    closes: bool
    closing_threads: int
    closing_bytes: int
    closing_processes: int
    ended_processes: int
    protected_processes: int
    other_execs: int
    timed_threads: int
    descriptors: bool
    paths: bool
    sockets: bool
    cgroups: bool
    path_depth: int
    ring_pages: int
    nearly_full: int
    events: tuple[EventView, ...]
    exec_events: tuple[EventView, ...]
    call_words: int
    calls: int
    request_events: tuple[EventView, ...]
    request_words: int
    request_entries: int
    request_slots: int
    opens: bool
    hooks: tuple[HookView, ...]
    stubs: tuple[StubView, ...]
    kills: bool
    functions: tuple[C, ...]
    tries: tuple[MapView, ...]
    grams: tuple[C, ...]
    gram_words: int
    key_words: int
    tallies: int
    negative: int
