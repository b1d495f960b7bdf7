"""Rules compiled as for a run: the generated decoder's tests, and the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from types import ModuleType

from etracee.catalog import Catalog
from etracee.clock import Clock
from etracee.decoding import import_decoder
from etracee.engine.alerts import Engine, Hit
from etracee.event import Alert, Event
from etracee.fragments import py_ident, py_variable
from etracee.plan import EventPlan, Plan, Request, make_plan
from etracee.profile import Options, Profile
from etracee.render.decoder import render_decoder
from etracee.rules import RuleSet
from etracee.testing.values import Values

_START = 1_700_000_000 * 10**9
"""Time of the first event of a test that says none, in ns since the epoch."""


class _PlayedEvent(Event):
    """What the engine asks of an event besides the values that a hit carries."""

    timestamp: str
    human_time: str
    type: str


@dataclass(frozen=True)
class Played:
    """An alert, and which event of the test gave it: its number, from 0."""

    event: int
    alert: Alert


class Compiled:
    """A set of rules, compiled with no profile of events around it.

    ProblemsError with all that is wrong in the rules.
    """

    def __init__(self, rules: RuleSet, catalog: Catalog) -> None:
        self.catalog = catalog
        self.plan = _decided_in_python(make_plan(_NO_PROFILE, rules, Request(), catalog))
        self.indices = {rule.id: index for index, rule in enumerate(self.plan.rules)}
        self.events = {event.name: event for event in self.plan.events}
        self._module = _import(render_decoder(self.plan, "", all_may_miss=True))
        self._clock = Clock()

    def hits(self, values: Values) -> list[Hit]:
        """Return the steps of rules that an event can be, as the generated decoder finds them."""
        event = self.events.get(values.type)
        if event is None or not event.matches:
            return []
        match = getattr(self._module, f"match_{py_ident(event.name)}")
        names = {str(py_variable(name)): name for name in self._fields(event)}
        code = match.__code__
        wanted = code.co_varnames[: code.co_argcount]
        given = {arg: values.fields.get(names[arg]) for arg in wanted if arg in names}
        found: list[Hit] = match(**given, cut=values.cut)
        return found

    def hits_of(self, rule: int, values: Values) -> list[Hit]:
        """Return the steps of one rule that an event can be."""
        return [hit for hit in self.hits(values) if hit[0] == rule]

    def left_open(self, rule: int) -> int:
        """Return how often a cut value has left open whether the rule's condition holds."""
        return int(self._module.OPEN_ANSWERS[rule])

    def play(
        self, events: Sequence[Values], repeat: int, every: int, rule: int | None = None
    ) -> tuple[Engine, list[Played]]:
        """Feed events to a new engine, in the order of their time; return it and the alerts.

        `every` is the time from event to event, in ns. With `rule`, only that rule is there.
        """
        rules = self._module.RULES
        if rule is None:
            engine, hits = Engine(rules, self._module.SHOWN), [self.hits(e) for e in events]
        else:
            engine = Engine([rules[rule]], self._module.SHOWN)
            hits = [[(0, *hit[1:]) for hit in self.hits_of(rule, e)] for e in events]
        return engine, [
            Played(number, alert)
            for time, number in _in_order(events, repeat, every)
            for alert in engine.alerts(self._event(events[number].type, time), hits[number])
        ]

    def _event(self, name: str, time: int) -> Event:
        return _PlayedEvent(str(time), self._clock.human(time), name)

    def _fields(self, event: EventPlan) -> Iterable[str]:
        return (*self.catalog.context, *event.type.fields)


def _in_order(events: Sequence[Values], repeat: int, every: int) -> Iterable[tuple[int, int]]:
    """Return the time and the number of each event that is played, those of one time as written."""
    return sorted(_timed(events, repeat, every), key=itemgetter(0))


def _timed(events: Sequence[Values], repeat: int, every: int) -> Iterator[tuple[int, int]]:
    time = _START - every
    for _ in range(repeat):
        for number, event in enumerate(events):
            time = time + every if event.time is None else event.time
            yield time, number


def _decided_in_python(plan: Plan) -> Plan:
    """Return the plan without the kernel's answers, for which there is no kernel here."""
    events = (
        replace(event, matches=tuple(replace(m, bit=None, is_exact=False) for m in event.matches))
        for event in plan.events
    )
    return replace(plan, events=tuple(events))


def _import(source: str) -> ModuleType:
    with tempfile.TemporaryDirectory(prefix="etracee-") as directory:
        path = Path(directory) / "decoder.py"
        path.write_text(source)
        return import_decoder(path)


_NO_PROFILE = Profile(
    name="test",
    version=None,
    description=None,
    filters=(),
    context=(),
    events={},
    definitions=(),
    rules=(),
    options=Options(),
    files=(),
)
