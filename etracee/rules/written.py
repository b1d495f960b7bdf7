"""The YAML of rule files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from etracee.event import LEVELS
from etracee.profile.definitions import Lists, Macros
from etracee.profile.written import Expression, Name, Seconds, Text, Written, nothing_as_empty


def _known_level(level: str) -> str:
    if level not in LEVELS:
        first = ", ".join(map(repr, LEVELS[:-1]))
        raise ValueError(f"{level!r} is none of {first} or {LEVELS[-1]!r}")
    return level


Level = Annotated[
    str, AfterValidator(_known_level), Field(json_schema_extra={"enum": list(LEVELS)})
]
Boolean = Annotated[
    Literal["true", "false"], WithJsonSchema({"type": "boolean"}, mode="validation")
]
Events = Annotated[
    list[Text], Field(min_length=1, description="Event names, or families such as $open.")
]
Keys = Annotated[
    tuple[Text, ...],
    Field(description="Fields; each combination of their values is counted by itself."),
]
Count = Annotated[int, Field(ge=1, le=100_000)]


class WrittenEvent(Written):
    """An event as it is printed; `timestamp`, in ns as text, orders those of a scenario."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Name

    @property
    def values(self) -> dict[str, Any]:
        """Return the event's fields."""
        return self.model_extra or {}


class WrittenTest(WrittenEvent):
    """An event, and whether the rule fires on it."""

    fires: Boolean


class WrittenEvents(Written):
    """Several events, one after the other."""

    events: Annotated[list[WrittenEvent], Field(min_length=1)]
    repeat: Annotated[
        Count, Field(description="Play the events so many times over, `every` apart.")
    ] = 1
    every: Seconds | None = Field(None, description="Time from event to event; 1ms unless told.")


class WrittenSeries(WrittenEvents):
    """Several events, and how many alerts the rule gives on them."""

    alerts: Annotated[int, Field(ge=0)]


class WrittenScenario(WrittenEvents):
    """Several events, and the rules of all files that fire on them, in their order."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    alerts: list[Name]


def _kind_of_test(value: object) -> str:
    return "series" if isinstance(value, dict) and "events" in value else "event"


Test = Annotated[
    Annotated[WrittenTest, Tag("event")] | Annotated[WrittenSeries, Tag("series")],
    Discriminator(_kind_of_test),
]


class WrittenThreshold(Written):
    """Fire when so many events, or so many values of a field, come within some time."""

    count: Annotated[int, Field(ge=2, le=100_000)]
    within: Seconds
    by: Keys = ()
    distinct: Text | None = Field(None, description="Count values of this field, not events.")


class WrittenAtMost(Written):
    """Give at most so many alerts within some time; the others are counted in the summary."""

    count: Count
    within: Seconds
    by: Keys = ()


class WrittenStep(Written):
    """A step of a sequence. `$name.field` is the field of the step of that name."""

    name: Name | None = Field(None, alias="as", description="Lets later steps say $name.field.")
    events: Events
    condition: Expression | None = None


class WrittenSequence(Written):
    """Fire when events come in this order; others may come between."""

    within: Seconds
    by: Keys = ()
    steps: Annotated[list[WrittenStep], Field(min_length=2, max_length=16)]


class WrittenException(Written):
    """Events of which the rule does not speak, and why they are none of its business."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    condition: Expression


class WrittenRule(Written):
    """A rule: the events it looks at, and the condition under which it fires."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["events", "condition"]}, {"required": ["sequence"]}]
        }
    )

    id: Name
    title: Annotated[str, Field(min_length=1, max_length=256)]
    description: Text | None = None
    author: Text | None = None
    references: tuple[Text, ...] = ()
    falsepositives: tuple[Text, ...] = ()
    enabled: Boolean = "true"
    level: Level = "medium"
    tags: tuple[Text, ...] = Field((), description="Such as attack.t1003.008.")
    events: Events | None = None
    condition: Expression | None = None
    exceptions: tuple[WrittenException, ...] = ()
    threshold: WrittenThreshold | None = None
    sequence: WrittenSequence | None = None
    at_most: WrittenAtMost | None = None
    actions: list[Literal["alert", "kill"]] = Field(["alert"], min_length=1)
    output: Text | None = Field(None, description="Message with {field}; the title unless told.")
    tests: tuple[Test, ...] = ()
    trigger: Text | None = Field(None, description="Shell command that makes the rule fire.")
    near_miss: Text | None = Field(None, description="Shell command on which it stays quiet.")

    @model_validator(mode="after")
    def _has_one_form(self) -> WrittenRule:
        single = [key for key in ("events", "condition", "threshold") if getattr(self, key)]
        if self.sequence and single:
            raise ValueError(f"a rule with a sequence has no {single[0]} of its own")
        if not self.sequence:
            missing = [key for key in ("events", "condition") if getattr(self, key) is None]
            if missing:
                named = " and ".join(map(repr, missing))
                many = len(missing) > 1
                raise ValueError(f"the key{'s' * many} {named} {'are' if many else 'is'} missing")
        return self


class WrittenAdjustment(Written):
    """What a file changes about a rule of another file."""

    enabled: Boolean | None = None
    level: Level | None = None
    exceptions: tuple[WrittenException, ...] = Field((), description="Added to those of the rule.")


_CONTENTS = ("extends", "lists", "macros", "rules", "adjust", "scenarios")
"""Keys of a rule file; one of them at least must say something."""


class WrittenRules(Written):
    """A rule file."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [key], "properties": {key: {"minItems": 1, "minProperties": 1}}}
                for key in _CONTENTS
            ]
        }
    )

    extends: tuple[Text, ...] = Field(
        (), description="Rule files: bundled names or relative paths."
    )
    lists: Lists = Field({})
    macros: Macros = Field({})
    rules: tuple[WrittenRule, ...] = ()
    adjust: dict[Name, Annotated[WrittenAdjustment, BeforeValidator(nothing_as_empty)]] = Field(
        {}, description="Changes to rules of other files, by their id."
    )
    scenarios: tuple[WrittenScenario, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> WrittenRules:
        if not any(getattr(self, key) for key in _CONTENTS):
            raise ValueError("there are no rules: add some under `rules:`")
        return self
