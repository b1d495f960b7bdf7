"""What is asked for, and the plan that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etracee.catalog import Catalog, EventType, Field
from etracee.event import EventLayout
from etracee.expr.tree import Tree
from etracee.fragments import C, c_comment
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


@dataclass(frozen=True)
class Hook:
    """A place in the kernel, and the function of the program that is attached to it.

    `edge` is enter or exit for calls, and `event` the one that the hook is for, where there is one.
    """

    kind: str
    name: str
    function: str
    edge: str | None = None
    event: str | None = None


@dataclass(frozen=True)
class RulePlan:
    """A rule whose every name is known; `conditions` by event."""

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    output: tuple[Piece, ...]
    conditions: Mapping[str, Tree]


@dataclass(frozen=True)
class EventPlan:
    """An event: what is captured in which order, what decides, what is shown.

    `captures` are fields with a slot. Those before `early` are needed by `early_test`, those
    before `late` by `late_test`; both tests run in the kernel and are true more often than what is
    wanted. `keep` is what Python still has to decide, and `rules` are indices of Plan.rules.
    """

    type: EventType
    layout: EventLayout
    captures: tuple[Field, ...]
    early: int
    early_test: Tree
    late: int
    late_test: Tree
    keep: Tree
    shown: tuple[Field, ...]
    rules: tuple[int, ...]
    delivered: bool

    @property
    def name(self) -> str:
        """Return the event's name."""
        return self.type.name


@dataclass(frozen=True)
class Plan:
    """All that the templates are given; nothing is looked up or decided after it.

    `attach` is tracepoint or raw_tracepoint; with `typed_loads`, kernel structures are read without
    a helper.
    """

    profile: str
    version: str | None
    catalog: Catalog
    options: Options
    tree: bool
    typed_loads: bool
    events: tuple[EventPlan, ...]
    rules: tuple[RulePlan, ...]
    hooks: tuple[Hook, ...]
    attach: str
    warnings: tuple[Problem, ...]

    @property
    def title(self) -> C:
        """Return the profile's name and version, as a comment may show them."""
        return c_comment(f"{self.profile} {self.version or ''}".strip())
