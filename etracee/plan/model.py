"""What is asked for, and the plan that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etracee.catalog import Catalog, EventType, Field, Flow
from etracee.catalog.model import Elapsed, Feed, FileOf
from etracee.event import ABI_NUMBER, EventLayout
from etracee.expr.tree import Reference, Test, Tree
from etracee.fragments import C, c_comment
from etracee.plan.grams import Grams
from etracee.plan.tries import Trie
from etracee.problems import Problem
from etracee.profile import Options
from etracee.rules.output import Piece


@dataclass(frozen=True)
class Request:
    """What the command line adds to a profile. Filters are expressions; they only narrow."""

    filters: tuple[tuple[str, str], ...] = ()
    """Name of the option for messages, and the expression."""
    events: tuple[str, ...] = ()
    """Events to watch of those in the profile; all of them when empty."""
    tree: bool = False
    """Watch one process and its descendants only, instead of the host."""
    alerts_only: bool = False
    """Deliver no event by itself: what no rule may need stays in the kernel."""
    allow_actions: bool = False
    """Let rules do what their `actions` say besides alerts."""
    weighs: bool = False
    """Add up how long the records would be, and send but a sample of them."""


FUNCTION_KINDS = {"enter": "fentry", "exit": "fexit"}
"""The kinds of programs that run at the edges of one of the kernel's functions."""


@dataclass(frozen=True)
class Hook:
    """A place in the kernel, and the function of the program that runs there.

    `edge` is enter or exit for calls, and `event` the one that the hook is for, where there is one.
    `slot` is where the function stands in the array of its kind, from which what is attached calls
    it: the same in every program, so that one can take the place of another. Raw tracepoints of one
    name share what is attached for all calls.
    """

    kind: str
    name: str
    function: str
    slot: int
    edge: str | None = None
    event: str | None = None
    abi: str | None = None
    """Of a 32-bit call, whose calls it is one of."""

    @property
    def stub(self) -> str:
        """Return the name of the function that is attached, and calls the one in the slot."""
        is_shared = self.kind == "raw_tracepoint" and self.edge
        place = self.name if is_shared else self.function
        return f"attached_{self.abi}_{place}" if self.abi else f"attached_{place}"

    @property
    def slots(self) -> str:
        """Return the name of the array of functions: one holds those of one kind only.

        Of those at the kernel's functions, one holds those of one function only: since Linux 6.12
        others are refused (28ead3eaabc1, "Prevent tail call between progs attached to different
        hooks").
        """
        return f"{self.function}_slot" if self.is_at_function else f"{self.kind}s"

    @property
    def is_at_function(self) -> bool:
        """Say whether it is at an edge of the kernel's function `name`."""
        return self.kind in FUNCTION_KINDS.values()


@dataclass(frozen=True)
class Branch:
    """A function that another goes on to for one event, from `slots` of the program's own array.

    One function for all events would jump farther than an instruction can tell: 32,767
    instructions (off of struct bpf_insn, include/uapi/linux/bpf.h).
    """

    of: str
    event: str
    function: str
    slots: tuple[int, ...]


@dataclass(frozen=True)
class Join:
    """The own field `field` equals that of an earlier step."""

    field: Field
    reference: Reference


@dataclass(frozen=True)
class Match:
    """A step of a rule that an event may be.

    `tree` is what can be told of the event alone. `joins` and `rest` tell, together, whether it
    belongs to the events of earlier steps; `rest` is YES where the joins do alone. `reads` are the
    fields whose values the engine is given.
    """

    rule: int
    step: int
    tree: Tree
    joins: tuple[Join, ...]
    rest: Tree
    reads: tuple[Field, ...]
    referenced: frozenset[str] = frozenset()
    """Names of the fields that later steps compare with."""
    bit: int | None = None
    """Where the kernel says, in the record's `rules`, whether the tree may be true, if it does."""
    is_exact: bool = False
    """Whether it then is."""


@dataclass(frozen=True)
class KeyPart:
    """A field that is counted by; its value means something where `implied` is true.

    The value of a derived field is the answer of `implied` itself.
    """

    field: Field
    implied: Tree


@dataclass(frozen=True)
class CountPlan:
    """What an event is counted by, in the order in which it was written.

    `layout` has a slot for each of `by`, behind the key's head; no slot is variable. `histogram`
    is told by the head's bucket.
    """

    by: tuple[KeyPart, ...]
    histogram: KeyPart | None
    layout: EventLayout

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        """Return all whose values are read."""
        return (*self.by, self.histogram) if self.histogram else self.by


@dataclass(frozen=True)
class WindowPlan:
    """`count` within `within` ns, for each combination of the values of `by`."""

    count: int
    within: int
    by: tuple[str, ...]
    distinct: str | None


@dataclass(frozen=True)
class StepPlan:
    """A step: its name, if it has one, and its conditions by event."""

    name: str | None
    conditions: Mapping[str, Tree]


@dataclass(frozen=True)
class RulePlan:
    """A rule whose every name is known. One without a sequence has one step."""

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    output: tuple[Piece, ...]
    steps: tuple[StepPlan, ...]
    window: WindowPlan | None
    at_most: WindowPlan | None
    actions: tuple[str, ...]

    @property
    def events(self) -> tuple[str, ...]:
        """Return the names of the events of all steps, each once."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.conditions))


@dataclass(frozen=True)
class EventPlan:
    """An event: what is captured in which order, what decides, what is shown.

    `captures` are fields with a slot. Those before `early` are needed by `early_test`, those
    before `late` by `late_test`, those before `ruled` by the rules; all these run in the kernel and
    are true more often than what is wanted. `bits` are the kernel's tests for the bits of the
    record's `rules`; where the event is not delivered by itself, one of them must be true. `kills`
    are those for which the kernel ends the process. `keep` is what Python still has to decide, and
    `matches` are the steps of rules.

    An event that is counted, by `counting`, is not delivered. Its early and late tests are exact,
    and the captures before `keyed` are needed for its key.
    """

    type: EventType
    layout: EventLayout
    captures: tuple[Field, ...]
    early: int
    early_test: Tree
    late: int
    late_test: Tree
    ruled: int
    bits: tuple[tuple[int, Tree], ...]
    kills: int
    keep: Tree
    shown: tuple[Field, ...]
    matches: tuple[Match, ...]
    delivered: bool
    counting: CountPlan | None
    keyed: int
    filters: Tree
    """All that bounds the event, what the kernel decides too."""
    filter_refused: Mapping[Test, str]
    """Comparisons of the filters that the kernel is not asked to make, and why."""
    rules_refused: Mapping[Test, str]
    """The same of the rules."""
    feeds: Feed | None
    """What the table of processes is told of every such event, if somebody reads of it."""
    gives_way: bool = False
    """Whether records are refused while the ring is nearly full."""
    stays_for: int = 0
    """Bits of a record's `rules` of which one keeps it from that."""

    @property
    def is_sent_anyway(self) -> bool:
        """Say whether it is sent though no rule may match."""
        return self.delivered or self.feeds is not None

    @property
    def name(self) -> str:
        """Return the event's name."""
        return self.type.name

    @property
    def is_abi_told(self) -> bool:
        """Say whether 32-bit calls are decoded too, and told from others."""
        return any(slot.name == ABI_NUMBER for slot in self.layout.slots)

    @property
    def is_sent(self) -> bool:
        """Say whether records of the event may leave the kernel."""
        return self.is_sent_anyway or bool(self.matches)

    @property
    def takes_time(self) -> bool:
        """Say whether somebody reads how long the call took."""
        return any(isinstance(field.origin, Elapsed) for field in self.captures)

    @property
    def is_timed(self) -> bool:
        """Say whether the call needs a hook at its entry for that alone."""
        return self.takes_time and self.type.flow not in (Flow.EXEC, Flow.REQUEST)

    @property
    def closes(self) -> bool:
        """Say whether somebody reads which file the call closes, which its entry alone can tell."""
        origins = (field.origin for field in self.captures)
        is_call = self.type.flow is not Flow.REQUEST
        return is_call and any(isinstance(o, FileOf) and o.at_entry for o in origins)

    def is_at(self, edge: str) -> bool:
        """Say whether the event is met at that edge of its call: enter or exit."""
        return self.type.flow in _MET[edge] or (edge == "enter" and (self.is_timed or self.closes))


_MET: dict[str, tuple[Flow, ...]] = {
    "enter": (Flow.EXEC, Flow.ENTRY),
    "exit": (Flow.EXEC, Flow.SYSCALL, Flow.TWICE),
}


@dataclass(frozen=True)
class Plan:
    """All that the templates are given; nothing is looked up or decided after it.

    `attach` is tracepoint, raw_tracepoint or fentry; with `typed_loads`, kernel structures are read
    without a helper.
    """

    profile: str
    version: str | None
    catalog: Catalog
    options: Options
    tree: bool
    typed_loads: bool
    events: tuple[EventPlan, ...]
    rules: tuple[RulePlan, ...]
    tries: tuple[Trie, ...]
    grams: tuple[Grams, ...]
    hooks: tuple[Hook, ...]
    branches: tuple[Branch, ...]
    attach: str
    allow_actions: bool
    weighs: bool
    count_every: float
    """Seconds between counts of what is counted."""
    warnings: tuple[Problem, ...]

    def find_told(self) -> dict[str, str]:
        """Return, by stub, what is not told of where the kernel skips it.

        An event, or the tracepoint where it may be one of several. Stubs that only note that a call
        has begun are left out: its end tells what is missing.
        """
        flows = {event.name: event.type.flow for event in self.events}
        told: dict[str, str] = {}
        for hook in self.hooks:
            is_noted = hook.edge == "enter" and hook.event and flows[hook.event] is not Flow.ENTRY
            if not is_noted:
                name = hook.event or hook.name
                told[hook.stub] = name if told.get(hook.stub, name) == name else hook.name
        return told

    @property
    def title(self) -> C:
        """Return the profile's name and version, as a comment may show them."""
        return c_comment(f"{self.profile} {self.version or ''}".strip())
