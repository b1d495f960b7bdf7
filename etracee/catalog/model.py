"""The catalog's entries as they are written in YAML, and what they resolve to."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key

from etracee.catalog.entries import Entry, LengthEntry
from etracee.types import Kind, Part, Type

SYSCALL = "syscall."
"""What stands before the name of a call that a lifecycle event has too."""


class Flow(str, enum.Enum):
    """Which hooks an event needs, and which template makes it."""

    SYSCALL = "syscall"  # the call's exit alone: arguments and result lie in the saved registers
    TWICE = "twice"  # the call's exit in the caller; the process that it makes returns from it too
    ENTRY = "entry"  # the call's entry alone: it does not return
    EXEC = "exec"  # entry, and sched_process_exec or the call's exit: success replaces the memory
    FORK = "fork"  # sched_process_fork, where it is no thread
    IMAGE = "image"  # sched_process_exec
    EXIT = "exit"  # sched_process_exit, when the last thread ends
    REQUEST = "request"  # of io_uring: kept when it is submitted, sent when it is complete


class FieldEntry(BaseModel):
    """A field: its type, the type's parameters, and its meaning."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    doc: str
    argument: str | None = None
    when: str | None = None
    read: tuple[str, ...] = ()
    of: str = "task"
    """Where `read` begins: a variable of the hook's function."""
    capture: str | None = None
    """The template under capture/ that fills the field, where it is not that of its type."""
    look_up: str | None = None
    """The method of etracee.enrich.Host that returns the value, `given` other fields."""
    given: tuple[str, ...] = ()
    fed: bool = False
    optional: bool = False
    """Whether kernels may be built without it; it is null there."""
    length: str | LengthEntry | None = None
    """The argument that tells how long the value in user memory is, or points to that."""
    returned: bool = False
    """Whether it is the call that leaves the value in user memory, where it succeeds."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the keys that are meant for the type."""
        return self.model_extra or {}


class PathEntry(Entry):
    """Which arguments tell of a file: its name and the directory to start from, or a descriptor.

    `result` is what the file is after success: the descriptor that the call returns, or the
    root of the process.
    """

    name: str | None = None
    at: str | None = None
    fd: str | None = None
    result: Literal["descriptor", "root"] | None = None


Arguments = tuple[str | Mapping[str, Any], ...]
"""Names of fields, or fields with what differs from fields.yaml."""


class SyscallEntry(Entry):
    """A system call: its numbers by architecture and its arguments in the kernel's order.

    `readings` are fields beside those of the arguments: each is argument `of` once more, as another
    type, or what a pointer at byte `at` of the structure points to that the argument does.
    """

    doc: str
    number: Mapping[str, int]
    tracepoint: str | None = None
    """What its tracepoints call it, where that is not the call's own name."""
    arguments: Arguments | Mapping[str, Arguments] = ()
    """By architecture, where their order differs."""
    readings: tuple[Mapping[str, Any], ...] = ()
    families: tuple[str, ...] = ()
    flow: Flow = Flow.SYSCALL
    paths: Mapping[str, PathEntry] = Key(default_factory=dict)
    closes: tuple[str, ...] = ()
    """Arguments that are no descriptors any more when the call ends."""
    socket: str | None = None
    """The argument, or `ret`, that is the descriptor of a socket."""
    derived: Mapping[str, str] = Key(default_factory=dict)
    returns: Mapping[str, str] = Key(default_factory=dict)
    """Fields that are the call's result, each with when it is one."""
    default: tuple[str, ...] | None = None


class FeedEntry(Entry):
    """What an event tells the table of processes: a method, and the fields that it is given."""

    method: str
    given: tuple[str, ...]


class LifecycleEntry(Entry):
    """Something that happens to a process, told by a tracepoint of the scheduler."""

    doc: str
    tracepoint: str
    flow: Flow
    feeds: FeedEntry | None = None
    fields: tuple[Mapping[str, Any], ...] = ()
    default: tuple[str, ...]


class PlaceEntry(Entry):
    """Where a value of an io_uring request lies: see data/io_uring.yaml."""

    at: tuple[str, ...]
    memory: Literal["kernel", "user"] = Key("kernel", alias="in")
    inline: bool = False
    or_alone: bool = False
    c: str | None = None
    mask: int | None = None
    length: tuple[str, ...] | int | None = None
    length_c: str = "s32"
    entry: str
    entry_c: str | None = None
    entry_length: str | None = None
    entry_length_c: str = "u32"
    when: str | None = None


class OperationEntry(Entry):
    """What a request of io_uring can ask for; its fields are those of the call `like`."""

    doc: str
    like: str
    opcodes: tuple[str, ...]
    fields: Mapping[str, PlaceEntry | tuple[PlaceEntry, ...]]
    slot: str | None = None
    """Where a request says that its result is put into the ring's own table of files."""
    default: tuple[str, ...] | None = None


class TracepointEntry(Entry):
    """A tracepoint of io_uring, if its probes take these structures; arguments by number."""

    name: str
    takes: tuple[str, ...]
    request: int | None = None
    entry: int | None = None
    ring: int | None = None
    user_data: int | None = None
    result: int | None = None
    completion: int | None = None


class Pages(Entry):
    """An argument that counts pages of 4096 bytes."""

    pages: int


class Id16(Entry):
    """An argument that is a user's or group's id of 16 bits."""

    id: int


class Constant(Entry):
    """A value that the 32-bit call implies."""

    value: int


AbiArgument = int | tuple[int, int] | Pages | Id16 | Constant | None
"""Which 32-bit arguments make a 64-bit call's one: see data/compat.yaml."""


class AbiCallEntry(Entry):
    """A 32-bit call that stands for a 64-bit one."""

    name: str
    number: int
    stands_for: str = Key(alias="as")
    when: int | None = None
    memory: int | None = None
    arguments: tuple[AbiArgument, ...] | None = None


class Source(str, enum.Enum):
    """Where a field's value is read from, which says how far it can be trusted."""

    REGISTERS = "registers saved at entry"
    KERNEL = "kernel memory"
    USER_EXIT = "user memory at exit"
    RETURNED = "user memory at exit, where the call has left it"
    USER_ENTRY = "user memory at entry"
    IMAGE = "memory of the new image, before it runs"
    CLOCK = "clock at entry and exit"
    REQUEST = "kernel memory of the request, and its entry in the ring where it was refused"
    REQUEST_OR_USER = "user memory when the request was submitted"
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
    `at` is where, in the structure that it points to, a pointer to the value lies.
    """

    index: int
    length: Length | None = None
    returned: bool = False
    at: int | None = None


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
    """

    name: int | InRequest | None
    at: int | InRequest | None
    fd: int | InRequest | None
    result: Literal["descriptor", "root"] | None


@dataclass(frozen=True)
class SocketOf:
    """Origin: the socket behind the descriptor that is argument `index`, from 0, or the result."""

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
    memory: int | None
    arguments: tuple[AbiArgument, ...]


@dataclass(frozen=True)
class Operation:
    """Which requests of io_uring an event is of, by their opcodes, and what tells of them.

    `hooks` are tracepoints by the function that runs there: those of one kernel, which stand in
    the order in which a program may take the place of another, see templates/bpf/exec.c.j2.
    `slot` is where such a request says that its result is put into the ring's own table of files.
    """

    opcodes: tuple[int, ...]
    slot: str | None
    hooks: Mapping[str, TracepointEntry]


@dataclass(frozen=True)
class EventType:
    """An event that a profile may name. `number` is None for lifecycle events."""

    name: str
    doc: str
    flow: Flow
    number: int | None
    fields: Mapping[str, Field]
    default: tuple[str, ...]
    families: tuple[str, ...]
    tracepoint: str
    """Of a call, the name in its tracepoints sys_enter_… and sys_exit_…"""
    feeds: Feed | None = None
    """What it tells the table of processes, if there is one."""
    operation: Operation | None = None
    """Of a request of io_uring, what tells it."""
    abi_calls: tuple[AbiCall, ...] = ()
    """The 32-bit calls that do the same."""


class Compat(Entry):
    """Where a task says that it is within a 32-bit call, and what that looks like.

    `machine` is what the files of such programs are for: e_machine of elf(5).
    """

    member: str
    bits: int
    abi: str
    arguments: tuple[str, ...]
    number: str
    machine: int


class Registers(Entry):
    """Where the saved registers hold a call's arguments and number, as `struct.member`."""

    arguments: tuple[str, ...]
    number: str
    compat: Compat


@dataclass(frozen=True)
class Unseen:
    """Why a kernel cannot show an event, and the families that it would belong to."""

    why: str
    families: tuple[str, ...]


@dataclass(frozen=True)
class Catalog:
    """All that is known of the kernel, for one architecture."""

    arch: str
    registers: Registers
    events: Mapping[str, EventType]
    context: Mapping[str, Field]
    families: Mapping[str, tuple[str, ...]]
    elsewhere: frozenset[str]
    """Calls that only other architectures have."""
    unseen: Mapping[str, Unseen]
    """Events that the kernel cannot show."""

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
