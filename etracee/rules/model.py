"""The YAML of rule files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from etracee.event import LEVELS
from etracee.profile.model import Expression, Located, Name, NamedList, Text, Written


def _known_level(level: str) -> str:
    if level not in LEVELS:
        first = ", ".join(map(repr, LEVELS[:-1]))
        raise ValueError(f"{level!r} is none of {first} or {LEVELS[-1]!r}")
    return level


Level = Annotated[
    str, AfterValidator(_known_level), Field(json_schema_extra={"enum": list(LEVELS)})
]


class WrittenTest(Written):
    """An event as it is printed, and whether the rule fires on it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Name
    fires: Annotated[
        Literal["true", "false"], WithJsonSchema({"type": "boolean"}, mode="validation")
    ]

    @property
    def values(self) -> dict[str, Any]:
        """Return the event's fields."""
        return self.model_extra or {}


class WrittenRule(Written):
    """A rule: the events it looks at, and the condition under which it fires."""

    id: Name
    title: Annotated[str, Field(min_length=1, max_length=256)]
    description: Text | None = None
    author: Text | None = None
    references: tuple[Text, ...] = ()
    falsepositives: tuple[Text, ...] = ()
    level: Level = "medium"
    tags: list[Text] = Field([], description="Such as attack.t1003.008.")
    events: Annotated[list[Text], Field(min_length=1)] = Field(
        description="Event names, or families such as $open."
    )
    condition: Expression
    output: Text | None = Field(None, description="Message with {field}; the title unless told.")
    tests: tuple[WrittenTest, ...] = ()


class WrittenRules(Written):
    """A rule file."""

    lists: dict[Name, list[Text]] = Field({}, description="Named lists, for $NAME in conditions.")
    rules: Annotated[list[WrittenRule], Field(min_length=1)]


@dataclass(frozen=True)
class RuleTest:
    """A test of a rule: an event's type and printed fields, and whether the rule fires."""

    type: str
    values: dict[str, Any]
    fires: bool
    where: Located


@dataclass(frozen=True)
class Rule:
    """A rule and where its parts were written. `lists` are those of its file."""

    id: Located
    title: str
    level: str
    tags: tuple[str, ...]
    events: tuple[Located, ...]
    condition: Located
    output: Located
    tests: tuple[RuleTest, ...]
    lists: dict[str, NamedList]
