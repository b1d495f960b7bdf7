"""What rules remember: counts within a sliding time, and sequences under way.

Times are those of events, in ns. State is bounded: of a rule, MOST_INSTANCES keys or sequences are
kept, and what was touched longest ago goes first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etracee.event import Event

MOST_INSTANCES = 10_000
"""Keys of a threshold, or sequences under way, of one rule."""
MOST_AT_PLACE = 500
"""Sequences of one key that wait for the same event: each of them is tried when it comes."""
MOST_TIMES = 1_000_000
"""Times that a threshold keeps, over all its keys."""
MOST_EVENTS = 20
"""Events that an alert carries, the last ones."""

Values = Mapping[str, Any]
Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class Window:
    """`count` within `within` ns, by the values of the fields `by`, or of distinct values."""

    count: int
    within: int
    by: tuple[str, ...]
    distinct: str | None = None

    def key(self, values: Values) -> Key:
        """Return the values of `by`; a missing one is None, which is a key like others."""
        return tuple(hashable(values.get(name)) for name in self.by)


def hashable(value: Any) -> Hashable:
    """Return the value, or what stands for a list."""
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Firing:
    """A rule fires: on which key, after how many events or sequences, and because of which events.

    `values` are those that the steps have kept, by the names of the steps.
    """

    key: Values | None
    count: int
    events: tuple[Event, ...]
    steps: Mapping[str, tuple[Event, Values]] = field(default_factory=dict)


class Threshold:
    """Fires on the event that completes the count; then the key begins anew."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.evicted = 0
        self._keys: OrderedDict[Key, _Seen] = OrderedDict()
        self._times = 0

    def begin_count(self) -> None:
        """Count evictions anew."""
        self.evicted = 0

    def feed(self, time: int, event: Event, values: Values) -> Firing | None:
        """Count `event`; return the firing that it completes."""
        window = self.window
        item = hashable(values.get(window.distinct)) if window.distinct else None
        if window.distinct and item is None:
            return None
        key = window.key(values)
        seen = self._keys.get(key) or self._keys.setdefault(key, _Seen())
        self._keys.move_to_end(key)
        before = len(seen.times)
        seen.add(time, item, event, time - window.within)
        self._times += len(seen.times) - before
        if len(seen.times) >= window.count:
            self._drop(key)
            named = {name: values.get(name) for name in window.by}
            return Firing(named, len(seen.times), tuple(seen.events))
        self._bound(time)
        return None

    def _drop(self, key: Key) -> _Seen:
        seen = self._keys.pop(key)
        self._times -= len(seen.times)
        return seen

    def _bound(self, now: int) -> None:
        """Forget keys whose time is over, and the oldest of those that are too many."""
        while self._keys:
            key, seen = next(iter(self._keys.items()))
            is_over = seen.last < now - self.window.within
            if not is_over and len(self._keys) <= MOST_INSTANCES and self._times <= MOST_TIMES:
                return
            self._drop(key)
            self.evicted += not is_over


class _Seen:
    """What was seen of one key: times of events, or of the last event of each distinct value."""

    def __init__(self) -> None:
        self.times: OrderedDict[Hashable, int] = OrderedDict()
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.last = 0
        self._serial = 0

    def add(self, time: int, item: Hashable, event: Event, oldest: int) -> None:
        """Note an event, by its distinct value where there is one; forget those before `oldest`."""
        self._serial += 1
        name = (self._serial,) if item is None else item
        self.times[name] = time
        self.times.move_to_end(name)
        self.events.append(event)
        self.last = max(self.last, time)
        while self.times and next(iter(self.times.values())) < oldest:
            self.times.popitem(last=False)
        while len(self.events) > len(self.times):
            self.events.popleft()


@dataclass(frozen=True)
class Step:
    """A step of a sequence: the joins (own field, step, its field), and what else must hold.

    `follows` has a test by the name of the event, given the event's values and the earlier steps'.
    """

    name: str | None
    joins: tuple[tuple[str, str, str], ...]
    follows: Mapping[str, Callable[[Values, Mapping[str, Values]], bool]]


@dataclass
class _Instance:
    key: Key
    start: int
    events: list[Event]
    steps: dict[str, tuple[Event, Values]]
    values: dict[str, Values]
    at: int = 0
    place: Hashable = None


class Correlation:
    """Fires on the event that completes a sequence.

    Every first step starts an instance. One event serves one step of an instance; where it
    completes several instances of one key at once, they are one firing that counts them.
    """

    def __init__(self, window: Window, steps: Sequence[Step]) -> None:
        self.window, self.steps = window, steps
        self.evicted = 0
        self._instances: OrderedDict[int, _Instance] = OrderedDict()
        self._waiting: list[dict[Hashable, dict[int, _Instance]]] = [{} for _ in steps]
        self._serial = 0

    def begin_count(self) -> None:
        """Count evictions anew."""
        self.evicted = 0

    def feed(
        self, time: int, event: Event, name: str, found: Sequence[tuple[int, Values]]
    ) -> Firing | None:
        """Take an event of type `name` that can be the steps `found`, given with its values."""
        done: list[_Instance] = []
        for number, values in sorted(found, key=lambda pair: -pair[0]):
            if number == 0:
                self._start(time, event, values)
            else:
                done += self._advance(number, time, event, name, values)
        self._bound(time)
        if not done:
            return None
        newest = done[-1]
        named = dict(zip(self.window.by, newest.key, strict=True))
        events = tuple(newest.events[-MOST_EVENTS:])
        return Firing(named, len(done), events, newest.steps)

    def _start(self, time: int, event: Event, values: Values) -> None:
        self._serial += 1
        instance = _Instance(self.window.key(values), time, [], {}, {})
        self._instances[self._serial] = instance
        self._move(self._serial, instance, event, values)

    def _move(self, serial: int, instance: _Instance, event: Event, values: Values) -> None:
        """Note the event as the step at which the instance stands, and wait for the next."""
        step = self.steps[instance.at]
        instance.events.append(event)
        if step.name:
            instance.steps[step.name] = (event, values)
            instance.values[step.name] = values
        instance.at += 1
        known = instance.values
        wanted = (
            hashable(known.get(other, {}).get(field))
            for _, other, field in self._joins(instance.at)
        )
        instance.place = (instance.key, *wanted)
        at_place = self._waiting[instance.at].setdefault(instance.place, {})
        at_place[serial] = instance
        if len(at_place) > MOST_AT_PLACE:
            self._forget(next(iter(at_place)))
            self.evicted += 1

    def _joins(self, number: int) -> tuple[tuple[str, str, str], ...]:
        return self.steps[number].joins

    def _advance(
        self, number: int, time: int, event: Event, name: str, values: Values
    ) -> Iterator[_Instance]:
        own = tuple(hashable(values.get(field)) for field, _, _ in self._joins(number))
        if None in own:  # a missing value equals nothing
            return
        place = (self.window.key(values), *own)
        follows = self.steps[number].follows.get(name)
        for serial, instance in tuple(self._waiting[number].get(place, {}).items()):
            if time - instance.start > self.window.within:
                self._forget(serial)
            elif time >= instance.start and (follows is None or follows(values, instance.values)):
                if number < len(self.steps) - 1:
                    self._leave(serial, instance)
                    self._move(serial, instance, event, values)
                    continue
                self._forget(serial)
                instance.events.append(event)
                if self.steps[number].name:
                    instance.steps[str(self.steps[number].name)] = (event, values)
                yield instance

    def _leave(self, serial: int, instance: _Instance) -> None:
        waiting = self._waiting[instance.at]
        at_place = waiting[instance.place]
        del at_place[serial]
        if not at_place:
            del waiting[instance.place]

    def _forget(self, serial: int) -> _Instance:
        instance = self._instances.pop(serial)
        self._leave(serial, instance)
        return instance

    def _bound(self, now: int) -> None:
        while self._instances:
            serial, instance = next(iter(self._instances.items()))
            is_over = now - instance.start > self.window.within
            if not is_over and len(self._instances) <= MOST_INSTANCES:
                return
            self._forget(serial)
            self.evicted += not is_over


class RateLimit:
    """Lets `count` alerts of a key through within the time; the others are counted."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.suppressed = self.evicted = 0
        self._passed: OrderedDict[Key, deque[int]] = OrderedDict()

    def begin_count(self) -> None:
        """Count what is held back, and evictions, anew."""
        self.suppressed = self.evicted = 0

    def allows(self, time: int, values: Values) -> bool:
        """Say whether an alert may be given now."""
        key = self.window.key(values)
        passed = self._passed.setdefault(key, deque())
        self._passed.move_to_end(key)
        if len(self._passed) > MOST_INSTANCES:
            _, oldest = self._passed.popitem(last=False)
            self.evicted += time - oldest[-1] <= self.window.within
        while passed and time - passed[0] > self.window.within:
            passed.popleft()
        if len(passed) >= self.window.count:
            self.suppressed += 1
            return False
        passed.append(time)
        return True


def shape_of(window: Window | None, steps: Iterable[Step]) -> Hashable:
    """Return what must be the same for a rule to go on with the state of another."""
    return window, tuple((step.name, step.joins) for step in steps)
