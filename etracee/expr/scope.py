"""What an expression may speak of, and where what is wrong with it is noted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as default

from etracee.catalog import EventType, Field
from etracee.problems import Place, Problem


@dataclass(frozen=True)
class Expression:
    """A macro: its text, and where what is wrong in it is noted."""

    text: str
    place: Callable[[int], Place | None]
    quoting: str | None = None


@dataclass(frozen=True)
class Scope:
    """What an expression may speak of: the fields of each event, lists, macros, earlier steps."""

    events: Mapping[str, Mapping[str, Field]]
    lists: Mapping[str, tuple[str, ...]]
    macros: Mapping[str, Expression] = default(default_factory=dict)
    steps: Mapping[str, Scope] = default(default_factory=dict)
    """The named earlier steps of a sequence."""

    @property
    def fields(self) -> set[str]:
        """Return the names of all fields that some event has."""
        return {name for fields in self.events.values() for name in fields}


def scope_of(
    events: Iterable[EventType],
    context: Mapping[str, Field],
    lists: Mapping[str, tuple[str, ...]],
    macros: Mapping[str, Expression] | None = None,
) -> Scope:
    """Return the scope of an expression over `events`."""
    fields = {event.name: {**context, **event.fields} for event in events}
    return Scope(fields, lists, macros or {})


@dataclass
class Report:
    """Collects problems and warnings; `place` turns an offset into a place in a file.

    `quoting` is the advice for a text that YAML may have cut or split.
    """

    place: Callable[[int], Place | None]
    quoting: str | None = None
    problems: list[Problem] = default(default_factory=list)
    warnings: list[Problem] = default(default_factory=list)

    def problem(self, at: int, message: str, hint: str | None = None) -> None:
        """Note something wrong at offset `at`."""
        self.problems.append(Problem(self.place(at), message, hint))

    def warning(self, at: int, message: str, hint: str | None = None) -> None:
        """Note something doubtful at offset `at`."""
        self.warnings.append(Problem(self.place(at), message, hint))
