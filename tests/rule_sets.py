"""Random profiles with rules, and what Python finds in an event of theirs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hostc
from expressions import Constants, Sample, comparable, expressions
from hypothesis import strategies as st

from etracee.catalog import Field, load_catalog
from etracee.event import EventLayout
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.plan import EventPlan, Plan, Request

CATALOG = load_catalog("x86_64")
EVENTS = sorted(CATALOG.events)
OTHERS = 63
"""The bit of the steps that have none of their own."""

Step = tuple[int, int]
"""Of a rule: its index, and its own within the rule."""


def fields_of(event: str) -> Mapping[str, Field]:
    """Return the fields of an event, its context among them."""
    return {**CATALOG.context, **CATALOG.events[event].fields}


def answer(text: str, event: str, sample: Sample) -> bool:
    """Answer an expression by the Python form of what was checked."""
    return _compiled(text, event)(sample.values, sample.cut)


@functools.lru_cache(maxsize=4096)
def _compiled(text: str, event: str) -> Callable[[Mapping[str, Any], Collection[str]], bool]:
    report = Report(lambda _: None)
    scope = scope_of([CATALOG.events[event]], CATALOG.context, {})
    tree = check(text, scope, report)[event]
    assert not report.problems, (text, report.problems)
    return compile_tree(tree)


@dataclass(frozen=True)
class Written:
    """A profile and rules as they are written."""

    profile: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]
    known: Constants
    alerts_only: bool

    def plan(self, directory: Path) -> Plan:
        """Return the plan, by way of files in `directory`."""
        request = Request(alerts_only=self.alerts_only)
        return hostc.plan_of(directory, self.profile, *self.rules, request=request)

    def keeps(self, event: str, sample: Sample) -> bool:
        """Say whether the profile's filters keep the event."""
        own = self.profile["events"].get(event, {})
        filters = [about["filter"] for about in (self.profile, own) if "filter" in about]
        return all(answer(text, event, sample) for text in filters)

    def steps(self, event: str, sample: Sample) -> set[Step]:
        """Return the steps that the event can be, whatever the filters say."""
        return {
            (index, number)
            for index, rule in enumerate(self.rules)
            for number, step in enumerate(rule.get("sequence", {"steps": [rule]})["steps"])
            if event in step["events"]
            and answer(step["condition"], event, sample)
            and not any(answer(e["condition"], event, sample) for e in rule["exceptions"])
        }


@st.composite
def written(draw: st.DrawFn, events: int = 3, least: int = 1, most: int = 8) -> Written:
    """Return a profile over so many events at most, with `least` to `most` rules."""
    names = draw(st.permutations(EVENTS))[: draw(st.integers(1, events))]
    known = Constants()
    count = draw(st.integers(least, most))
    made = [draw(_rules(f"rule-{number}", names, known)) for number in range(count)]
    watched = names[: draw(st.integers(1, len(names)))]
    limit = draw(st.sampled_from([16, 64, 256]))
    profile: dict[str, Any] = {
        "events": {name: draw(_filters(name, known)) for name in watched},
        "options": {"max_string": limit, "max_argv": max(64, limit), "ring_buffer": "64KiB"},
    }
    if draw(st.booleans()):
        profile["filter"] = draw(expressions(comparable(CATALOG.context), known))
    return Written(profile, made, known, draw(st.booleans()))


@st.composite
def _filters(draw: st.DrawFn, event: str, known: Constants) -> dict[str, str]:
    if draw(st.booleans()):
        return {}
    return {"filter": draw(expressions(comparable(fields_of(event)), known))}


@st.composite
def _rules(draw: st.DrawFn, name: str, events: Sequence[str], known: Constants) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": name, "title": "Rule", "exceptions": []}
    if draw(st.integers(0, 3)) == 0:
        text = draw(expressions(comparable(CATALOG.context), known))
        rule["exceptions"] = [{"name": "known", "condition": text}]
    if draw(st.integers(0, 3)):
        return rule | draw(_steps(events, known))
    steps = draw(st.lists(_steps(events, known), min_size=2, max_size=3))
    return rule | {"sequence": {"within": "1s", "steps": steps}}


@st.composite
def _steps(draw: st.DrawFn, events: Sequence[str], known: Constants) -> dict[str, Any]:
    """Return events and a condition; over several events it speaks of what all have."""
    chosen = draw(st.lists(st.sampled_from(events), min_size=1, max_size=2, unique=True))
    fields = fields_of(chosen[0]) if len(chosen) == 1 else CATALOG.context
    return {"events": chosen, "condition": draw(expressions(comparable(fields), known))}


def bits_of(layout: EventLayout, record: bytes) -> int:
    """Return what the kernel has put into `rules`."""
    slot = layout.slot("rules")
    return int.from_bytes(record[slot.offset : slot.offset + slot.size], "little")


def disagreements(
    rules: Written, event: EventPlan, sample: Sample, record: bytes | None
) -> list[str]:
    """Return what is wrong with the record that the kernel sent of an event, None if it did not."""
    steps = rules.steps(event.name, sample)
    if record is None:
        wanted = rules.keeps(event.name, sample) and (event.delivered or steps)
        return [f"{event.name}: dropped, wanted by {sorted(steps)}"] if wanted else []
    bits = bits_of(event.layout, record) if event.matches else 0
    wrong = []
    for match in event.matches:
        is_set = bool(bits >> (OTHERS if match.bit is None else match.bit) & 1)
        is_true = (match.rule, match.step) in steps
        if is_set < is_true or (match.is_exact and is_set != is_true):
            wrong.append(f"{event.name}: bit {match.bit} is {is_set}, {match} is {is_true}")
    return wrong
