"""Turn rules that fired into alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from etracee.engine.actions import BY_KERNEL, Killer
from etracee.engine.windows import (
    Correlation,
    Firing,
    RateLimit,
    Step,
    Threshold,
    Values,
    Window,
    shape_of,
)
from etracee.event import LEVELS, Alert, Event, nest
from etracee.problems import printable

Hit = tuple[int, int, Values]
"""A rule's index, its step, and the values of the event that the rule needs."""
Shown = Callable[[Any], object]


@dataclass(frozen=True)
class Rule:
    """What an alert says of its rule, and what the rule waits for.

    `output` are pieces of text, and names of fields (True).
    """

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    output: tuple[tuple[str, bool], ...]
    steps: tuple[Step, ...]
    window: Window | None
    at_most: Window | None
    actions: tuple[str, ...]


class Engine:
    """Makes alerts and counts them by rule."""

    def __init__(
        self,
        rules: Iterable[Mapping[str, Any]],
        shown: Mapping[tuple[str, str], Shown],
        killer: Killer | None = None,
    ) -> None:
        """`rules` stand in the order of the indices that the decoder returns.

        `shown` prints values, by event and field; those that are not there print as they are.
        Without `killer` the rules' actions are not allowed.
        """
        self.rules = tuple(_rule(entry) for entry in rules)
        self.fired: Counter[str] = Counter()
        self._levels: set[str] = set()
        self._shown = shown
        self._killer = killer
        self._memories = [_memory(rule) for rule in self.rules]
        self._limits = [RateLimit(r.at_most) if r.at_most else None for r in self.rules]
        self._gone: Counter[str] = Counter()
        self._held_back: Counter[str] = Counter()

    def alerts(self, event: Event, hits: Iterable[Hit]) -> Iterator[Alert]:
        """Yield the alerts that `event` gives, for the steps of rules that it can be."""
        correlated: dict[int, list[tuple[int, Values]]] = {}
        for index, step, values in hits:
            memory = self._memories[index]
            if isinstance(memory, Correlation):
                correlated.setdefault(index, []).append((step, values))
                continue
            firing: Firing | None = Firing(None, 1, (event,))
            if memory is not None:
                firing = memory.feed(_time(event), event, values)
            yield from self._alert(index, event, values, firing)
        for index, found in correlated.items():
            memory = self._memories[index]
            assert isinstance(memory, Correlation)
            firing = memory.feed(_time(event), event, _type(event), found)
            yield from self._alert(index, event, max(found, key=_step)[1], firing)

    def tell_kills(self, hits: Iterable[Hit]) -> None:
        """Say what the kernel has done for rules of which no alert is given any more."""
        for index, _, values in hits:
            if self._killer is not None and values.get(BY_KERNEL):
                self._killer.kill(self.rules[index].id, values)

    def _alert(
        self, index: int, event: Event, values: Values, firing: Firing | None
    ) -> Iterator[Alert]:
        limit, rule = self._limits[index], self.rules[index]
        if firing is None or (limit and not limit.allows(_time(event), values)):
            return
        self.fired[rule.id] += 1
        self._levels.add(rule.level)
        yield Alert(
            timestamp=getattr(event, "timestamp"),  # noqa: B009 - every generated class has it
            human_time=getattr(event, "human_time"),  # noqa: B009
            rule=rule.id,
            title=rule.title,
            level=rule.level,
            tags=rule.tags,
            message="".join(self._message(rule, event, values, firing)),
            key=self._key(event, firing.key) if firing.key is not None else None,
            count=firing.count,
            events=firing.events,
            actions=self._act(rule, values),
        )

    def _act(self, rule: Rule, values: Values) -> dict[str, str] | UnsetType:
        if self._killer is None or "kill" not in rule.actions:
            return UNSET
        return {"kill": self._killer.kill(rule.id, values)}

    def _key(self, event: Event, key: Values) -> dict[str, object]:
        return nest({name: self._show(event, name, value) for name, value in key.items()})

    def _message(self, rule: Rule, event: Event, values: Values, firing: Firing) -> Iterator[str]:
        for text, is_field in rule.output:
            if not is_field:
                yield text
                continue
            step, dot, name = text.partition(".")
            if dot and step in firing.steps:
                yield _text(self._value(*firing.steps[step], name))
            else:
                yield _text(self._value(event, values, text))

    def _value(self, event: Event, values: Values, name: str) -> object:
        """Return a field as it is printed, also where the event does not show it."""
        if event.shows(name):
            return event.value_of(name)
        return self._show(event, name, values.get(name))

    def _show(self, event: Event, name: str, value: Any) -> object:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, list | tuple):
            return [self._show(event, name, element) for element in value]
        show = self._shown.get((_type(event), name))
        return show(value) if show and value is not None else value

    def take_over(self, old: Engine) -> None:
        """Go on where `old` stands: counts, and the windows of rules that wait for the same."""
        self.fired = old.fired
        self._levels |= old._levels
        self._gone += old.evicted
        self._held_back += old.suppressed
        known = {rule.id: index for index, rule in enumerate(old.rules)}
        for index, rule in enumerate(self.rules):
            if rule.id in known:
                self._continue(index, old, known[rule.id])
        for state in (*self._memories, *self._limits):
            if state is not None:
                state.begin_count()

    def _continue(self, index: int, old: Engine, before: int) -> None:
        rule, was = self.rules[index], old.rules[before]
        memory = old._memories[before]
        if shape_of(rule.window, rule.steps) == shape_of(was.window, was.steps):
            if isinstance(memory, Correlation):
                memory.steps = rule.steps
            self._memories[index] = memory
        if rule.at_most == was.at_most:
            self._limits[index] = old._limits[before]

    @property
    def evicted(self) -> Counter[str]:
        """Return, by rule, how many windows or sequences were forgotten before their time."""
        counts = Counter(self._gone)
        for states in (self._memories, self._limits):
            for rule, state in zip(self.rules, states, strict=True):
                counts[rule.id] += state.evicted if state is not None else 0
        return +counts

    @property
    def suppressed(self) -> Counter[str]:
        """Return, by rule, how many alerts were held back by its `at_most`."""
        pairs = zip(self.rules, self._limits, strict=True)
        held = Counter({rule.id: limit.suppressed for rule, limit in pairs if limit is not None})
        return self._held_back + held

    def has_reached(self, level: str) -> bool:
        """Say whether an alert of `level` or above was given."""
        least = LEVELS.index(level)
        return any(LEVELS.index(given) >= least for given in self._levels)


def _rule(entry: Mapping[str, Any]) -> Rule:
    windows = {
        name: Window(*entry[name]) if entry[name] else None for name in ("window", "at_most")
    }
    return Rule(**{**entry, **windows, "steps": tuple(Step(*step) for step in entry["steps"])})


def _memory(rule: Rule) -> Threshold | Correlation | None:
    if rule.window is None:
        return None
    if len(rule.steps) > 1:
        return Correlation(rule.window, rule.steps)
    return Threshold(rule.window)


def _step(found: tuple[int, Values]) -> int:
    return found[0]


def _time(event: Event) -> int:
    return int(getattr(event, "timestamp"))  # noqa: B009


def _type(event: Event) -> str:
    return str(getattr(event, "type"))  # noqa: B009


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return printable(text)
