"""The YAML of a profile, and the profile that is made of one or several such files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from etracee.problems import Problem
from etracee.profile.definitions import Definition, Lists, Macros
from etracee.profile.written import (
    Expression,
    Located,
    Name,
    Seconds,
    Size,
    Text,
    Written,
    nothing_as_empty,
)
from etracee.units import LARGEST_RING

DEFAULT_CONTEXT = ("pid", "ppid", "uid", "gid", "comm")

Mode = Literal["events", "count"]
"""Whether events are delivered one by one, or counted in the kernel."""


def _power_of_two(size: int) -> int:
    if size & (size - 1):
        raise ValueError("the kernel wants a power of two, such as 8MiB")
    return size


class WrittenOptions(Written):
    """Limits and choices."""

    max_string: Annotated[int, Field(ge=16, le=4096)] | None = Field(
        None, description="Bytes of a string that are captured; 256 unless told."
    )
    max_argv: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        None, description="Bytes of an argument vector that are captured; 1024 unless told."
    )
    ring_buffer: (
        Annotated[Size, Field(ge=1 << 16, le=LARGEST_RING), AfterValidator(_power_of_two)] | None
    ) = Field(None, description="Size of the ring buffer, a power of two; 8MiB unless told.")
    attach: Literal["auto", "tracepoint", "raw_tracepoint", "fentry"] | None = Field(
        None, description="How programs are attached; auto takes the cheapest that sees all calls."
    )
    compat: Literal["report", "decode"] | None = Field(
        None,
        description="Calls of 32-bit programs: decode them, which costs every call something, or "
        "report how many such programs were started; report unless told.",
    )
    count_keys: Annotated[int, Field(ge=16, le=1 << 20)] | None = Field(
        None,
        description="Combinations of values that `mode: count` keeps apart within one interval, "
        "of all events together; 10240 unless told.",
    )


class WrittenEventCount(Written):
    """What an event is counted by; keys that are left out are the profile's."""

    by: Annotated[list[Name], Field(max_length=16)] | None = Field(
        None, description="Fields whose combinations of values are counted apart."
    )
    histogram: Name | None = Field(
        None, description="A number whose values are counted in ranges, each twice the last."
    )


class WrittenCount(WrittenEventCount):
    """What events are counted by, and how often the counts are told."""

    every: Annotated[Seconds, Field(ge=0.1)] | None = Field(
        None, description="Time between counts, such as 10s; 5s unless told."
    )


class WrittenEvent(Written):
    """An event of a profile; empty, it has the catalog's default fields."""

    fields: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None, description="Fields to capture, instead of the default ones."
    )
    filter: Expression | None = Field(None, description="Keeps the events for which it is true.")
    mode: Mode | None = Field(None, description="Overrides the profile's mode for this event.")
    count: WrittenEventCount | None = None


EventName = Annotated[str, Field(pattern=r"^\$?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
Event = Annotated[
    WrittenEvent | Literal["off"],
    BeforeValidator(nothing_as_empty),
]


class WrittenProfile(Written):
    """A monitoring profile: which events to watch, which to keep, what to capture of them."""

    name: Name
    version: (
        Annotated[
            str,
            Field(
                pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)([-+][0-9A-Za-z.+-]+)?$"
            ),
        ]
        | None
    ) = Field(None, description="Semantic version; optional until the profile is shared.")
    description: Text | None = None
    extends: list[Text] = Field([], description="Bundled names or relative paths, left to right.")
    filter: Expression | None = Field(None, description="Keeps events of every type.")
    context: list[Name] | None = Field(None, description="Context fields of every event.")
    mode: Mode | None = Field(
        None, description="`count` counts events in the kernel, instead of delivering each."
    )
    count: WrittenCount | None = None
    events: dict[EventName, Event] = Field(
        {}, description="Events to watch, or families such as $open; `off` removes one."
    )
    lists: Lists = Field({})
    macros: Macros = Field({})
    rules: list[Text] = Field([], description="Bundled names or relative paths of rule files.")
    options: WrittenOptions = WrittenOptions()


@dataclass(frozen=True)
class Counting:
    """What is counted apart, as it was written at `where`; None where nothing was said."""

    where: Located
    by: tuple[Located, ...] | None = None
    histogram: Located | None = None


@dataclass(frozen=True)
class WatchedEvent:
    """An event that the profile names; `fields` None means the catalog's default."""

    name: Located
    fields: tuple[Located, ...] | None = None
    filter: Located | None = None
    mode: str | None = None
    count: Counting | None = None


@dataclass(frozen=True)
class Options:
    """Limits and choices, with the values that count where nothing was written. Sizes in bytes."""

    max_string: int = 256
    max_argv: int = 1024
    ring_buffer: int = 8 << 20
    attach: str = "auto"
    count_keys: int = 10_240
    compat: str = "report"

    @property
    def decodes_compat(self) -> bool:
        """Say whether calls of 32-bit programs are decoded."""
        return self.compat == "decode"


@dataclass(frozen=True)
class Profile:
    """A profile with all that it extends."""

    name: str
    version: str | None
    description: str | None
    filters: tuple[Located, ...]
    context: tuple[Located, ...]
    events: Mapping[str, WatchedEvent]
    definitions: tuple[Definition, ...]
    rules: tuple[Located, ...]
    options: Options
    files: tuple[str, ...]
    off: frozenset[str] = frozenset()
    """Events that are not watched, whatever their family says."""
    mode: str | None = None
    count: Counting | None = None
    every: float = 5.0
    """Seconds between counts."""
    problems: tuple[Problem, ...] = ()
    """What is wrong in it already, beside which more may be found."""
