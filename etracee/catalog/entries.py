"""What the catalog knows, as it is written in YAML."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key


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


class Entry(BaseModel):
    """Base of everything written: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LengthEntry(Entry):
    """A length that lies in user memory: a number `c` at byte `at` behind the argument `of`."""

    of: str
    at: int = 0
    c: Literal["s32", "u64"] = "s32"


class ShiftEntry(Entry):
    """A number among flags, of which `bits` bits lie from bit `shift` on."""

    shift: int
    bits: int


class FlagsEntry(Entry):
    """A set of flag names; a value is a number, or one for each architecture.

    `like` is a set whose single flags belong to this one too, behind its own. `shifted` are
    numbers by the name of their shift: they print as 21<<MAP_HUGE_SHIFT. `number` are the bits of a
    plain number, printed last. `query` is a number that is no set, but asks for the one in effect.
    """

    doc: str
    bits: Mapping[str, int | Mapping[str, int]]
    like: str | None = None
    groups: Mapping[int, Mapping[str, int]] = Key(default_factory=dict)
    shifted: Mapping[str, ShiftEntry] = Key(default_factory=dict)
    number: int | None = None
    query: int | None = None


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
    root or the working directory of the process.
    """

    name: str | None = None
    at: str | None = None
    fd: str | None = None
    result: Literal["descriptor", "root", "pwd"] | None = None


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
    """Arguments that are no descriptors any more when the call ends, but are at its entry."""
    several: tuple[str, ...] = ()
    """Arguments that are the first of several descriptors: no one file is behind them."""
    socket: str | None = None
    """The argument, or `ret`, that is the descriptor of a socket."""
    derived: Mapping[str, str] = Key(default_factory=dict)
    ret: Mapping[str, Any] = Key(default_factory=dict)
    """What of the field `ret` differs from fields.yaml."""
    returns: Mapping[str, str] = Key(default_factory=dict)
    """Fields that are the call's result, each with when it is one."""
    default: tuple[str, ...] | None = None


class FamilyEntry(Entry):
    """What a family of events is for, and which of its events do the same: see families.yaml."""

    doc: str
    siblings: Literal["all"] | tuple[tuple[str, ...], ...] = ()


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


class Behind(Entry):
    """An argument of 32 bits that lies `at` bytes behind where another one points to."""

    behind: int
    at: int = 0


AbiArgument = int | tuple[int, int] | Pages | Id16 | Constant | Behind | None
"""Which 32-bit arguments make a 64-bit call's one: see data/compat.yaml."""


class AbiCallEntry(Entry):
    """A 32-bit call that stands for a 64-bit one."""

    name: str
    number: int
    stands_for: str = Key(alias="as")
    when: int | None = None
    bits: Literal[16, 32] = 32
    memory: int | None = None
    arguments: tuple[AbiArgument, ...] | None = None


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
    """Where the saved registers hold a call's arguments and number, as `struct.member`.

    `function` stands before a call's name in that of the kernel's function, which is given these
    registers. `serves_abi` says that a 32-bit call may come to the same function.
    """

    arguments: tuple[str, ...]
    number: str
    function: str
    serves_abi: bool
    compat: Compat
