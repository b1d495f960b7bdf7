"""Turn rules that fired into alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from etracee.event import LEVELS, Alert, Event
from etracee.problems import printable


@dataclass(frozen=True)
class Rule:
    """What an alert says of its rule; `output` are pieces of text, and names of fields (True)."""

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    output: tuple[tuple[str, bool], ...]


class Engine:
    """Makes alerts and counts them by rule."""

    def __init__(
        self, rules: Iterable[tuple[str, str, str, tuple[str, ...], tuple[tuple[str, bool], ...]]]
    ) -> None:
        """`rules` stand in the order of the indices that the decoder returns."""
        self.rules = tuple(Rule(*rule) for rule in rules)
        self.fired: Counter[str] = Counter()

    def alerts(self, event: Event, fired: Iterable[int]) -> Iterable[Alert]:
        """Yield an alert for each rule that fired on `event`."""
        for index in fired:
            rule = self.rules[index]
            self.fired[rule.id] += 1
            yield Alert(
                timestamp=getattr(event, "timestamp"),  # noqa: B009 - every generated class has it
                human_time=getattr(event, "human_time"),  # noqa: B009
                rule=rule.id,
                title=rule.title,
                level=rule.level,
                tags=rule.tags,
                message=_message(rule, event),
                key=None,
                count=1,
                events=(event,),
            )

    def has_reached(self, level: str) -> bool:
        """Say whether a rule of `level` or above has fired."""
        least = LEVELS.index(level)
        return any(self.fired[rule.id] and LEVELS.index(rule.level) >= least for rule in self.rules)


def _message(rule: Rule, event: Event) -> str:
    return "".join(
        _shown(getattr(event, text, None)) if is_field else text for text, is_field in rule.output
    )


def _shown(value: object) -> str:
    if value is None:
        return "-"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return printable(text)
