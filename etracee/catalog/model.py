"""The catalog's entries as they are written in YAML, and what they resolve to."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key

from etracee.types import Kind, Part, Type


class Entry(BaseModel):
    """Base of everything written: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Flow(str, enum.Enum):
    """Which hooks an event needs, and which template makes it."""

    SYSCALL = "syscall"  # the call's exit alone: arguments and result lie in the saved registers
    EXEC = "exec"  # entry, and sched_process_exec or the call's exit: success replaces the memory
    EXIT = "exit"  # sched_process_exit, when the last thread ends


class FieldEntry(BaseModel):
    """A field: its type, the type's parameters, and its meaning."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    doc: str
    argument: str | None = None
    when: str | None = None
    read: tuple[str, ...] = ()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the keys that are meant for the type."""
        return self.model_extra or {}


class SyscallEntry(Entry):
    """A system call: its numbers by architecture and its arguments in the kernel's order."""

    doc: str
    number: Mapping[str, int]
    arguments: tuple[str | Mapping[str, Any], ...] = ()
    families: tuple[str, ...] = ()
    flow: Flow = Flow.SYSCALL
    derived: Mapping[str, str] = Key(default_factory=dict)
    default: tuple[str, ...] | None = None


class LifecycleEntry(Entry):
    """Something that happens to a process, told by a tracepoint of the scheduler."""

    doc: str
    tracepoint: str
    flow: Flow
    fields: tuple[Mapping[str, Any], ...] = ()
    default: tuple[str, ...]


class FlagsEntry(Entry):
    """A set of flag names; a value is a number, or one for each architecture."""

    doc: str
    bits: Mapping[str, int | Mapping[str, int]]
    groups: Mapping[int, Mapping[str, int]] = Key(default_factory=dict)


class Source(str, enum.Enum):
    """Where a field's value is read from, which says how far it can be trusted."""

    REGISTERS = "registers saved at entry"
    KERNEL = "kernel memory"
    USER_EXIT = "user memory at exit"
    USER_ENTRY = "user memory at entry"
    DERIVED = "derived from other fields"


@dataclass(frozen=True)
class Argument:
    """Origin: the call's argument number `index`, from 0; `kernel_name` is its name there."""

    index: int
    kernel_name: str


@dataclass(frozen=True)
class Walk:
    """Origin: kernel structures, from the task on; each step is `struct.member…`."""

    steps: tuple[str, ...]


@dataclass(frozen=True)
class ReturnValue:
    """Origin: what the call returned."""


@dataclass(frozen=True)
class Captured:
    """Origin: the macro that the type's `capture` names, which needs nothing but the task."""


@dataclass(frozen=True)
class PartOf:
    """Origin: another field of the same event, of which this is a part."""

    whole: str
    part: Part


@dataclass(frozen=True)
class Derivation:
    """Origin: an expression over other fields of the same event."""

    expression: str


Origin = Argument | Walk | ReturnValue | Captured | PartOf | Derivation


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
    def implied(self) -> str | None:
        """Return the expression that the value depends on besides its own bytes, or None."""
        return self.origin.expression if isinstance(self.origin, Derivation) else self.when


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


class Compat(Entry):
    """Where a task says that it is within a 32-bit call."""

    member: str
    bits: int


class Registers(Entry):
    """Where the saved registers hold a call's arguments and number, as `struct.member`."""

    arguments: tuple[str, ...]
    number: str
    compat: Compat


@dataclass(frozen=True)
class Catalog:
    """All that is known of the kernel, for one architecture."""

    arch: str
    registers: Registers
    events: Mapping[str, EventType]
    context: Mapping[str, Field]
    families: Mapping[str, tuple[str, ...]]
