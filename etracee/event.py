"""What flows after the kernel: the bytes of a record, events, alerts and losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar

import msgspec

UNREADABLE = 0xFFFF
"""A variable slot's length when the kernel could not read the value."""
CUT = 0x8000
"""The bit of a variable slot's length that says the value was longer than its buffer."""


ABI_NUMBER = "abi_number"
"""The slot with the number of a 32-bit call, where such calls are decoded, and NATIVE of others."""
NATIVE = 0xFFFF


@dataclass(frozen=True)
class Storage:
    """How a value lies in a record.

    `size` bytes, read with `code` of the struct module. A variable value's slot holds its length
    in bytes (or UNREADABLE; CUT is or-ed in); the bytes follow the fixed part, slot after slot.
    """

    c_type: str
    code: str
    size: int
    variable: bool = False
    array: int | None = None


@dataclass(frozen=True)
class Slot:
    """One value of a record: `offset` and `size` in bytes, `limit` of a variable one's bytes."""

    name: str
    storage: Storage
    offset: int
    limit: int = 0

    @property
    def size(self) -> int:
        """Return the bytes that the slot takes in the fixed part."""
        return self.storage.size


@dataclass(frozen=True)
class EventLayout:
    """The one truth about a record's bytes: the C struct and the decoder come from it.

    `size` is that of the fixed part, a multiple of 8 bytes.
    """

    event: str
    index: int
    slots: tuple[Slot, ...]
    size: int

    @property
    def variable(self) -> tuple[Slot, ...]:
        """Return the slots whose bytes follow the fixed part, in their order there."""
        return tuple(slot for slot in self.slots if slot.storage.variable)

    @property
    def limit(self) -> int:
        """Return the bytes of the largest record."""
        return self.size + sum(slot.limit for slot in self.variable)

    @property
    def code(self) -> str:
        """Return the fixed part as a format of the struct module, without native padding."""
        code, at = "<", 0
        for slot in sorted(self.slots, key=lambda slot: slot.offset):
            code += "x" * (slot.offset - at) + slot.storage.code
            at = slot.offset + slot.size
        return code + "x" * (self.size - at)

    def slot(self, name: str) -> Slot:
        """Return the slot of that name; KeyError if there is none."""
        return next(slot for slot in self.slots if slot.name == name)


KEY_HEAD = Struct("<IIHHi")
"""What every key of what is counted begins with, `struct key_head` of templates/bpf/count.c.j2.

The event's index, the epoch, bits of the values that are missing and of those that were cut, in
the order of the fields that are counted by, and the bucket of the histogram.
"""
NEGATIVE, MISSING = -1, -2
"""Buckets of values below 0, and of those that are missing.

Bucket 0 is that of the value 0, and bucket n that of values from 2**(n-1) up to below 2**n.
"""


class Event(msgspec.Struct):
    """Base of the event classes that the generated decoder defines, one for each event type.

    `texts` names the fields whose values are texts of the traced program, not words of ours,
    `context` those that say who made the call, `nested` those whose names have dots: they stand in
    dicts, each under a part of the name.
    """

    texts: ClassVar[tuple[str, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()
    nested: ClassVar[tuple[str, ...]] = ()

    def shows(self, name: str) -> bool:
        """Say whether the event has a key or a field of that name."""
        return name in self.nested or name in self.__struct_fields__

    def value_of(self, name: str) -> Any:
        """Return the printed value of a field that the event shows."""
        return _descend(self, name) if name in self.nested else getattr(self, name)

    def omits(self, name: str) -> bool:
        """Say whether JSON leaves the key out, since it has a value in few events only."""
        required = len(self.__struct_fields__) - len(self.__struct_defaults__)
        return name in self.__struct_fields__[required:] and getattr(self, name) is None

    def flat(self) -> dict[str, Any]:
        """Return all keys with their values; fields have their whole names."""
        values = msgspec.structs.asdict(self)
        for name in self.nested:
            values.pop(name.partition(".")[0], None)
        return values | {name: self.value_of(name) for name in self.nested}


def _descend(event: Event, name: str) -> Any:
    first, *rest = name.split(".")
    value = getattr(event, first)
    for step in rest:
        value = value[step]
    return value


def nest(values: Mapping[str, object]) -> dict[str, object]:
    """Return values by name as they are printed: names with one prefix share a dict."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *outer, last = name.split(".")
        inner = nested
        for step in outer:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return nested


LEVELS = ("informational", "low", "medium", "high", "critical")
"""Of alerts, from harmless to grave, as in Sigma."""


class Alert(msgspec.Struct, tag_field="type", tag="alert"):
    """A rule has matched; `events` caused it, the oldest first.

    `actions` says what came of those that the rule asks for, where they are allowed.
    """

    timestamp: str
    human_time: str
    rule: str
    title: str
    level: str
    tags: tuple[str, ...]
    message: str
    key: dict[str, object] | None
    count: int
    events: tuple[Event, ...]
    actions: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Loss(msgspec.Struct, tag_field="type", tag="lost", rename={"start": "from", "end": "to"}):
    """`count` records of one event were lost between two times (ns since the epoch, as text)."""

    event: str
    count: int
    start: str
    end: str
    blind_rules: tuple[str, ...]


class Bucket(msgspec.Struct):
    """Values from `at_least` up to, but not including, `below`; None is without a limit."""

    at_least: int | None
    below: int
    count: int


class Histogram(msgspec.Struct):
    """How the values of a field are spread: its buckets that are not empty, in their order.

    `missing` counts events in which the field has no value.
    """

    field: str
    buckets: tuple[Bucket, ...]
    missing: int


class Count(msgspec.Struct, tag_field="type", tag="count", rename={"start": "from", "end": "to"}):
    """So many events with the same key passed the filters between two times (as of a Loss).

    Values of the key are those of events; `truncated` and `raw` are as there.
    """

    event: str
    key: dict[str, object]
    count: int
    start: str
    end: str
    histogram: Histogram | msgspec.UnsetType = msgspec.UNSET
    truncated: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    raw: dict[str, object] | msgspec.UnsetType = msgspec.UNSET


Item = Event | Alert | Loss | Count | str
"""What a sink is given; a text is the line of JSON of an event, for those that want no other."""
