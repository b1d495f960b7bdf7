"""Render the decoder: Python that unpacks records by the plan's layouts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from etracee.catalog import Field
from etracee.expr.evaluate import PythonForm
from etracee.expr.tree import Test, leaves
from etracee.fragments import Py, join, py, py_ident, py_literal
from etracee.plan import EventPlan, Plan
from etracee.plan.model import Match
from etracee.render.counts import key_source
from etracee.render.decoded import TEXTUAL, Decoded, Named, may_be_cut, may_miss
from etracee.render.environment import environment
from etracee.render.lines import LinesView, Piece, view_lines
from etracee.render.matchers import (
    Follow,
    Matcher,
    MatchersView,
    rule_source,
    view_follows,
    view_matchers,
)
from etracee.types import type_modules


@dataclass(frozen=True)
class Opening:
    """What is decoded until the filters and the rules have said whether the event is wanted."""

    variable: tuple[Named, ...]
    values: tuple[Named, ...]
    late: tuple[Named, ...]


@dataclass(frozen=True)
class DecoderEvent:
    """What the template needs for one event.

    `judge` opens the function that only asks whether the event is wanted, `opening` the one that
    returns it. Of an event that is wanted only where a rule fires, the `rest` is decoded then.
    """

    name: Py
    index: int
    class_name: Py
    keys: tuple[Py, ...]
    code: Py
    unpacked: Py
    size: int
    opening: Opening
    rest: Opening
    told: tuple[Py, ...]
    matchers: tuple[Matcher, ...]
    rules: MatchersView | None
    is_given_out: bool
    only_rules: bool
    texts: tuple[Named, ...]
    text_names: Py
    context_names: Py
    nested_names: Py
    shown: tuple[Py, ...]
    abi: Py
    fired: Py
    judge: Opening | None
    lines: LinesView | None


@dataclass(frozen=True)
class DecoderView:
    """What the template needs."""

    title: Py
    digest: Py
    digest_literal: Py
    events_literal: Py
    delivered_literal: Py
    counts: bool
    keys: tuple[Py, ...]
    count_every: Py
    decoders: Py
    writers: Py
    looks_up: bool
    rule_count: int
    allows_actions: Py
    rules: tuple[Py, ...]
    follows: tuple[Follow, ...]
    shown: tuple[Named, ...]
    watchers_literal: Py
    asks_for_processes: Py
    events: tuple[DecoderEvent, ...]
    pieces: tuple[Piece, ...]
    constants: tuple[Named, ...]
    operators: tuple[Py, ...]


def render_decoder(plan: Plan, digest: str, *, all_may_miss: bool = False) -> str:
    """Return the source of the module that decodes what the program of `digest` sends.

    With `all_may_miss`, its tests take None for every field, also for those that records always
    have.
    """
    form = PythonForm((lambda _: True) if all_may_miss else may_miss, may_be_cut)
    pieces: dict[Piece, Py] = {}
    sent = (Decoded(plan, event, form) for event in plan.events if event.is_sent)
    events = tuple(_view(decoded, pieces) for decoded in sent)
    keys = tuple(key_source(event, form) for event in plan.events)
    view = DecoderView(
        title=Py(plan.title),
        digest=Py(digest),
        digest_literal=py_literal(digest),
        events_literal=py_literal(tuple(event.name for event in plan.events)),
        delivered_literal=py_literal(tuple(event.delivered for event in plan.events)),
        counts=any(event.counting for event in plan.events),
        keys=keys,
        count_every=py_literal(plan.count_every),
        decoders=_by_event(plan, {event.name: py("decode_{e}", e=event.name) for event in events}),
        writers=_by_event(
            plan, {event.name: py("write_{e}", e=event.name) for event in events if event.lines}
        ),
        looks_up=any(event.rules and event.rules.indexed for event in events),
        rule_count=len(plan.rules),
        allows_actions=py_literal(plan.allow_actions),
        rules=tuple(rule_source(plan, index) for index in range(len(plan.rules))),
        follows=tuple(view_follows(plan)),
        shown=tuple(_shown_by_engine(plan, form)),
        watchers_literal=py_literal(tuple(_watchers(plan, event) for event in plan.events)),
        asks_for_processes=py_literal(any(event.feeds for event in plan.events)),
        events=events,
        pieces=tuple(pieces),
        constants=tuple(Named(name, source) for source, name in form.constants.items()),
        operators=tuple(_operators(form)),
    )
    body = Py(environment().get_template("decoder_body.py.j2").render(view=view))
    named = set(re.findall(r"\b(\w+)\.", body))
    types = [py_ident(name) for name in type_modules() if name in named]
    return environment().get_template("decoder.py.j2").render(view=view, types=types, body=body)


def _by_event(plan: Plan, functions: Mapping[Py, Py]) -> Py:
    """Return the functions in the order of the events; None where there is none."""
    found = (functions.get(py_ident(event.name), Py("None")) for event in plan.events)
    return join("", [py("{name}, ", name=name) for name in found], Py)


def _view(decoded: Decoded, pieces: dict[Piece, Py]) -> DecoderEvent:
    event, layout = decoded.event, decoded.event.layout
    rules = view_matchers(event, decoded.form) if event.matches else None
    shown = {**decoded.envelope(), **decoded.sources(event.shown)}
    keys = decoded.keys()
    everything = decoded.with_inputs(decoded.read())
    lines = view_lines(decoded, pieces)
    return DecoderEvent(
        name=decoded.name,
        index=layout.index,
        class_name=Py("".join(part.title() for part in decoded.name.split("_"))),
        keys=tuple(map(py_ident, keys)),
        code=py_literal(layout.code),
        unpacked=join(", ", decoded.unpacked(), Py),
        size=layout.size,
        opening=_opening(decoded, everything if event.delivered else decoded.judged()),
        rest=_opening(decoded, everything),
        told=tuple(decoded.told()),
        matchers=tuple(decoded.keep()),
        rules=rules,
        is_given_out=event.delivered or bool(event.matches),
        only_rules=not event.delivered,
        texts=tuple(decoded.texts(event.shown)),
        text_names=decoded.names(lambda field: field.kind in TEXTUAL),
        context_names=decoded.names(lambda field: field.name in decoded.plan.catalog.context),
        nested_names=decoded.names(lambda field: "." in field.name),
        shown=tuple(shown[key] for key in keys),
        abi=decoded.abi(),
        fired=Py("fired" if rules else "()"),
        judge=_opening(decoded, decoded.judged()) if lines and lines.is_judged else None,
        lines=lines,
    )


def _opening(decoded: Decoded, fields: Collection[Field]) -> Opening:
    return Opening(
        variable=tuple(decoded.variable(fields)),
        values=(
            *decoded.values(fields),
            *decoded.looked_up(fields, late=False),
            *decoded.implied_values(fields),
        ),
        late=tuple(decoded.looked_up(fields, late=True)),
    )


def _operators(form: PythonForm) -> list[Py]:
    """Return the operator modules that the constants name; others need not be imported."""
    modules = {source.partition(".")[0] for source in form.constants}
    return [py_ident(module) for module in sorted(modules & {"like", "matches"})]


def _watchers(plan: Plan, event: EventPlan) -> tuple[int, ...]:
    """Return the indices of the rules that miss something where the event is lost.

    It can be a step of them, or they read what it tells.
    """
    own = [match.rule for match in event.matches]
    if event.feeds is not None:
        own += (match.rule for e in plan.events for match in e.matches if _is_fed(match))
    return tuple(dict.fromkeys(own))


def _is_fed(match: Match) -> bool:
    trees = (match.tree, match.rest)
    tests = (leaf for tree in trees for leaf in leaves(tree) if isinstance(leaf, Test))
    return any(field.is_fed for field in (*match.reads, *(test.field for test in tests)))


def _shown_by_engine(plan: Plan, form: PythonForm) -> Iterator[Named]:
    """Yield what prints the values that the engine is given, by event and field."""
    for event in plan.events:
        for field in dict.fromkeys(field for match in event.matches for field in match.reads):
            shower = field.type.shower()
            if shower is not None:
                literal = py_literal((event.name, field.name))
                yield Named(literal, form.hoist(shower))
