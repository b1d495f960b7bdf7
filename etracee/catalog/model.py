"""What the catalog's entries resolve to, for one architecture."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

from etracee.catalog.entries import (
    AbiArgument,
    Flow,
    PlaceEntry,
    Registers,
    TracepointEntry,
)
from etracee.types import Kind, Part, Type

SYSCALL = "syscall."
"""What stands before the name of a call that a lifecycle event has too."""


class Source(str, enum.Enum):
    """Where a field's value is read from, which says how far it can be trusted."""

    REGISTERS = "registers saved at entry"
    RESULT = "result of the call"
    KERNEL = "kernel memory"
    USER_EXIT = "user memory at exit"
    RETURNED = "user memory at exit, where the call has left it"
    USER_ENTRY = "user memory at entry"
    IMAGE = "memory of the new image, before it runs"
    CLOCK = "clock at entry and exit"
    REQUEST = "kernel memory of the request, and its entry in the ring where it was refused"
    REQUEST_OR_USER = "user memory when the request was submitted"
    KERNEL_AT_ENTRY = "kernel memory at entry"
    SUBMITTED = "kernel memory when the request was submitted"
    COMPLETION = "result of the completed or refused request"
    COMPLETED = "kernel memory when the request is complete, null where it was refused"
    SUBMISSION = "clock at submission and completion"
    KERNEL_OR_USER = "kernel memory, and user memory where joined"
    DERIVED = "derived from other fields"
    LOOKED_UP = "looked up by etracee"


@dataclass(frozen=True)
class Length:
    """Where a length is told: by argument number `index`, or `c` at byte `at` behind it."""

    index: int
    at: int | None
    c: str


@dataclass(frozen=True)
class Passed:
    """Where something is told by the call's argument number `index`, from 0.

    `length` tells how long what it points to is. What is `returned` is there after success alone.
    `at` is where, in the structure that it points to, a pointer to the value lies, and `pointer`
    that pointer's C type.
    """

    index: int
    length: Length | None = None
    returned: bool = False
    at: int | None = None
    pointer: str = "u64"


@dataclass(frozen=True)
class Argument(Passed):
    """Origin: an argument of the call; `kernel_name` is its name there."""

    kernel_name: str = ""


@dataclass(frozen=True)
class Reading(Passed):
    """Origin: an argument that is another field too, read in one more way."""


@dataclass(frozen=True)
class Walk:
    """Origin: kernel structures; each step is `struct.member…`.

    `of` is the variable of the hook's function that the first step begins at. Of alternatives,
    `a.b|c.d`, the first is taken that the kernel has. `array[struct.member].rest` is the element
    whose number stands in that member of the same struct. Where the kernel has not what the last
    step names, an optional value is missing.
    """

    steps: tuple[str, ...]
    of: str = "task"
    optional: bool = False


@dataclass(frozen=True)
class InRequest:
    """Origin: places in a request of io_uring, one of which each kernel has."""

    places: tuple[PlaceEntry, ...]


@dataclass(frozen=True)
class FileOf:
    """Origin: a file that the call is on, told by arguments of these numbers, from 0.

    A request of io_uring has places instead.

    `name` starts from the directory `at`, or from the working directory where that is None;
    without a name, `fd` is a descriptor of the file. `result` as in PathEntry.

    The call closes a file that is found `at_entry`. One that is `held` by a request of io_uring is
    found when that is complete.
    """

    name: int | InRequest | None
    at: int | InRequest | None
    fd: int | InRequest | None
    result: Literal["descriptor", "root", "pwd"] | None
    at_entry: bool = False
    held: bool = False


@dataclass(frozen=True)
class SocketOf:
    """Origin: the socket behind the descriptor that is argument `index`, from 0, or the result.

    A request of io_uring holds the file that its argument stands for, until it is complete.
    """

    index: int | None


@dataclass(frozen=True)
class ReturnValue:
    """Origin: what the call returned."""


@dataclass(frozen=True)
class Elapsed:
    """Origin: the time since the call's entry, which needs a hook there."""


@dataclass(frozen=True)
class Captured:
    """Origin: the hook's own arguments, by the template under capture/ of that name."""

    template: str


@dataclass(frozen=True)
class PartOf:
    """Origin: another field of the same event, of which this is a part."""

    whole: str
    part: Part


@dataclass(frozen=True)
class Derivation:
    """Origin: an expression over other fields of the same event."""

    expression: str


@dataclass(frozen=True)
class Absent:
    """Origin: nowhere. The call does not return, so its result is always missing."""


@dataclass(frozen=True)
class LookUp:
    """Origin: what the method of etracee.enrich.Host returns for other fields of the context.

    With `is_fed`, it knows what other events have told.
    """

    method: str
    fields: tuple[Field, ...]
    is_fed: bool


Origin = (
    Argument
    | InRequest
    | Reading
    | FileOf
    | SocketOf
    | Walk
    | ReturnValue
    | Elapsed
    | Captured
    | PartOf
    | Derivation
    | Absent
    | LookUp
)
NOT_IN_RECORDS = (Derivation, Absent)
"""Origins of fields that have no place in a record."""


@dataclass(frozen=True)
class Field:
    """A field of an event, resolved for one architecture."""

    name: str
    type: Type
    doc: str
    source: Source
    origin: Origin
    when: str | None = None
    """An expression over the event's fields; where it is false, the value means nothing."""

    @property
    def kind(self) -> Kind:
        """Return what the value is to the operators."""
        return self.type.kind

    @property
    def wholes(self) -> tuple[str, ...]:
        """Return the fields with a place in the record that the value is read out of."""
        if isinstance(self.origin, LookUp):
            return tuple(field.name for field in self.origin.fields)
        if isinstance(self.origin, NOT_IN_RECORDS):
            return ()
        return (self.origin.whole if isinstance(self.origin, PartOf) else self.name,)

    @property
    def read_from(self) -> str:
        """Say where the value is read from, in words."""
        if not isinstance(self.origin, LookUp):
            return self.source.value
        told = ["events of processes"] if self.is_fed else []
        return f"{self.source.value} from {', '.join([*self.wholes, *told])}"

    @property
    def is_fed(self) -> bool:
        """Say whether the value depends on what other events have told."""
        return isinstance(self.origin, LookUp) and self.origin.is_fed

    @property
    def in_c(self) -> bool:
        """Say whether the record holds the value, or its whole, as it is."""
        return self.type.in_c and not isinstance(self.origin, (*NOT_IN_RECORDS, LookUp))

    @property
    def holder(self) -> str:
        """Return the field under whose name the value counts as cut."""
        if isinstance(self.origin, LookUp):
            cut = (field.name for field in self.origin.fields if field.type.storage.variable)
            return next(cut, self.name)
        return self.origin.whole if isinstance(self.origin, PartOf) else self.name

    @property
    def may_be_cut(self) -> bool:
        """Say whether the value can be longer than what is captured of it."""
        if isinstance(self.origin, LookUp):
            return any(field.type.storage.variable for field in self.origin.fields)
        return self.type.storage.variable

    @property
    def implied(self) -> str | None:
        """Return the expression that the value depends on besides its own bytes, or None."""
        return self.origin.expression if isinstance(self.origin, Derivation) else self.when


@dataclass(frozen=True)
class Feed:
    """What an event tells: a method of etracee.enrich.processes.Processes, and what it is given.

    The time of the event stands before the fields.
    """

    method: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class AbiCall:
    """A 32-bit call that does what an event's call does: see data/compat.yaml."""

    name: str
    number: int
    when: int | None
    bits: int
    memory: int | None
    arguments: tuple[AbiArgument, ...]


@dataclass(frozen=True)
class Operation:
    """Which requests of io_uring an event is of, by their opcodes, and what tells of them.

    `hooks` are tracepoints by the function that runs there: those of one kernel, which stand in
    the order in which a program may take the place of another, see templates/bpf/exec.c.j2.
    `slot` is where such a request says that its result is put into the ring's own table of files,
    `places` where it has what the event's fields tell.
    """

    opcodes: tuple[int, ...]
    slot: str | None
    hooks: Mapping[str, TracepointEntry]
    places: Mapping[str, InRequest]


Described = tuple[Mapping[str, Field], tuple[str, ...]]
"""An event's fields by name, and the names of those that are shown where a profile says nothing."""


class Details:
    """The fields of an event: made when they are first asked for, as few of all events are."""

    def __init__(self, make: Callable[[], Described]) -> None:
        self._make = make

    @cached_property
    def made(self) -> Described:
        """Return the fields."""
        return self._make()

    def __reduce__(self) -> tuple[type[Details], tuple[Callable[[], Described]]]:
        """Write down the fields, not how they are made."""
        return Details, (partial(_return, self.made),)


def _return(described: Described) -> Described:
    return described


@dataclass(frozen=True)
class EventType:
    """An event that a profile may name. `number` is None for lifecycle events."""

    name: str
    doc: str
    flow: Flow
    number: int | None
    details: Details
    families: tuple[str, ...]
    tracepoint: str
    """Of a call, the name in its tracepoints sys_enter_… and sys_exit_…"""
    feeds: Feed | None = None
    """What it tells the table of processes, if there is one."""
    operation: Operation | None = None
    """Of a request of io_uring, what tells it."""
    abi_calls: tuple[AbiCall, ...] = ()
    """The 32-bit calls that do the same."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """Return the fields by their names."""
        return self.details.made[0]

    @property
    def default(self) -> tuple[str, ...]:
        """Return the names of the fields that are shown where a profile says nothing."""
        return self.details.made[1]


@dataclass(frozen=True)
class Catalog:
    """All that is known of the kernel, for one architecture."""

    arch: str
    registers: Registers
    events: Mapping[str, EventType]
    context: Mapping[str, Field]
    families: Mapping[str, tuple[str, ...]]
    family_docs: Mapping[str, str]
    """What families are for; of a family that is new, nothing may be said."""
    siblings: tuple[tuple[str, ...], ...]
    """Sets of events that do the same, those that a kernel cannot show among them."""
    elsewhere: frozenset[str]
    """Calls that only other architectures have."""
    unseen: Mapping[str, str]
    """Events that the kernel cannot show, and why."""
    untold: Mapping[str, str]
    """Calls that io_uring has an operation for which is no event, and its opcode."""

    @property
    def abi(self) -> str:
        """Return the name of the 32-bit calls that kernels of the architecture take."""
        return self.registers.compat.abi

    @property
    def absent(self) -> frozenset[str]:
        """Return the events that are known, and cannot happen or be shown here."""
        return self.elsewhere | self.unseen.keys()

    def call(self, name: str) -> EventType | None:
        """Return the event of a system call; `syscall.` tells its name from a lifecycle event's."""
        event = self.events.get(f"{SYSCALL}{name}") or self.events.get(name)
        return event if event is not None and event.number is not None else None
