"""Rules as they are loaded: every part with the place where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etracee.profile.definitions import Definition
from etracee.profile.written import Located


@dataclass(frozen=True)
class TestEvent:
    """An event of a test: its type, and its fields as they are printed."""

    type: str
    values: Mapping[str, Any]
    where: Located

    __test__ = False  # not a test case, whatever pytest thinks of the name


@dataclass(frozen=True)
class RuleTest:
    """Events, `every` seconds apart, and how many alerts the rule gives on them."""

    events: tuple[TestEvent, ...]
    alerts: int
    where: Located
    repeat: int = 1
    every: float = 0.001


@dataclass(frozen=True)
class Scenario:
    """Events, `every` seconds apart, and the rules that fire on them, in order."""

    name: str
    events: tuple[TestEvent, ...]
    alerts: tuple[str, ...]
    where: Located
    repeat: int = 1
    every: float = 0.001


@dataclass(frozen=True)
class Step:
    """What a rule waits for; a rule without a sequence has one. `condition` None: any event."""

    name: Located | None
    events: tuple[Located, ...]
    condition: Located | None


@dataclass(frozen=True)
class Window:
    """So many within so many seconds, for each combination of the values of `by`."""

    count: int
    within: float
    by: tuple[Located, ...]
    distinct: Located | None = None


@dataclass(frozen=True)
class Rule:
    """A rule. `window` is that of a threshold, or of a sequence, whose count is 1."""

    id: Located
    title: str
    level: str
    tags: tuple[str, ...]
    steps: tuple[Step, ...]
    exceptions: tuple[Located, ...]
    window: Window | None
    at_most: Window | None
    actions: tuple[str, ...]
    output: Located
    tests: tuple[RuleTest, ...]
    trigger: str | None
    near_miss: str | None

    @property
    def events(self) -> tuple[Located, ...]:
        """Return the events and families of all steps."""
        return tuple(event for step in self.steps for event in step.events)


@dataclass(frozen=True)
class RuleSet:
    """The rules of all files that were asked for; `definitions` hold over all of them."""

    rules: tuple[Rule, ...] = ()
    definitions: tuple[Definition, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
