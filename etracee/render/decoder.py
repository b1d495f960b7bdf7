"""Render the decoder: Python that unpacks records by the plan's layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from etracee.catalog import Field
from etracee.catalog.model import Absent, LookUp, PartOf
from etracee.event import ABI_NUMBER, NATIVE
from etracee.expr.check import check
from etracee.expr.evaluate import PythonForm
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import YES, Test, Tree, leaves
from etracee.fragments import Py, join, py, py_ident, py_literal, py_variable
from etracee.plan import EventPlan, Plan
from etracee.plan.model import Match
from etracee.render.counts import key_source
from etracee.render.environment import environment
from etracee.render.matchers import (
    Follow,
    Matcher,
    MatchersView,
    arguments_of,
    rule_source,
    view_follows,
    view_matchers,
)
from etracee.render.nesting import nest, place_in
from etracee.types import Kind, type_modules

ORDER = (
    "timestamp",
    "pid",
    "ppid",
    "uid",
    "gid",
    "syscall_id",
    "type",
    "comm",
    "filename",
    "human_time",
    "tid",
    "ret",
)
"""The order of the keys that come first; the others follow as the event has them."""


NOTHING = Py("")


@dataclass(frozen=True)
class Named:
    """A name with source: a value, a constant, a text with its literal name or its place."""

    name: Py
    source: Py = NOTHING
    literal: Py = NOTHING
    decoded: Py = NOTHING
    place: Py = NOTHING


@dataclass(frozen=True)
class DecoderEvent:
    """What the template needs for one event."""

    name: Py
    class_name: Py
    keys: tuple[Py, ...]
    code: Py
    unpacked: Py
    size: int
    variable: tuple[Named, ...]
    values: tuple[Named, ...]
    told: tuple[Py, ...]
    late: tuple[Named, ...]
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
    looks_up: bool
    rule_count: int
    allows_actions: Py
    rules: tuple[Py, ...]
    follows: tuple[Follow, ...]
    shown: tuple[Named, ...]
    watchers_literal: Py
    asks_for_processes: Py
    events: tuple[DecoderEvent, ...]
    constants: tuple[Named, ...]
    operators: tuple[Py, ...]
    types: tuple[Py, ...]


def render_decoder(plan: Plan, digest: str, *, all_may_miss: bool = False) -> str:
    """Return the source of the module that decodes what the program of `digest` sends.

    With `all_may_miss`, its tests take None for every field, also for those that records always
    have.
    """
    form = PythonForm((lambda _: True) if all_may_miss else _may_miss, _may_be_cut)
    events = tuple(_EventView(plan, event, form).view() for event in plan.events if event.is_sent)
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
        decoders=join("", [py("{name}, ", name=_decoder(event)) for event in plan.events], Py),
        looks_up=any(event.rules and event.rules.indexed for event in events),
        rule_count=len(plan.rules),
        allows_actions=py_literal(plan.allow_actions),
        rules=tuple(rule_source(plan, index) for index in range(len(plan.rules))),
        follows=tuple(view_follows(plan)),
        shown=tuple(_shown_by_engine(plan, form)),
        watchers_literal=py_literal(tuple(_watchers(plan, event) for event in plan.events)),
        asks_for_processes=py_literal(any(event.feeds for event in plan.events)),
        events=events,
        constants=tuple(Named(name, source) for source, name in form.constants.items()),
        operators=tuple(_operators(form)),
        types=tuple(py_ident(name) for name in type_modules()),
    )
    return environment().get_template("decoder.py.j2").render(view=view)


def _decoder(event: EventPlan) -> Py:
    return py("decode_{event}", event=py_ident(event.name)) if event.is_sent else Py("None")


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


def _may_miss(field: Field) -> bool:
    return field.type.may_miss or isinstance(field.origin, PartOf | LookUp) or bool(field.when)


def _may_be_cut(field: Field) -> bool:
    return field.may_be_cut


_TEXTUAL = (Kind.TEXT, Kind.TEXTS)
_HEADER = {
    "event": Py("_"),
    "time": Py("time"),
    "rules": Py("bits"),
    ABI_NUMBER: Py("abi_number"),
}


class _EventView:
    def __init__(self, plan: Plan, event: EventPlan, form: PythonForm) -> None:
        self.plan, self.event, self.form = plan, event, form
        self.name = py_ident(event.name)
        self.implied = {f: self.implied_by(f) for f in event.shown if f.implied is not None}

    def view(self) -> DecoderEvent:
        layout = self.event.layout
        rules = view_matchers(self.event, self.form) if self.event.matches else None
        shown = self.shown()
        return DecoderEvent(
            name=self.name,
            class_name=Py("".join(part.title() for part in self.name.split("_"))),
            keys=tuple(py_ident(key) for key in shown),
            code=py_literal(layout.code),
            unpacked=join(", ", self.unpacked(), Py),
            size=layout.size,
            variable=tuple(self.variable()),
            values=tuple(self.values()),
            told=tuple(self.told()),
            late=tuple(self.looked_up(late=True)),
            matchers=tuple(self.keep()),
            rules=rules,
            is_given_out=self.event.delivered or bool(self.event.matches),
            only_rules=not self.event.delivered,
            texts=tuple(self.texts()),
            text_names=self.names(lambda field: field.kind in _TEXTUAL),
            context_names=self.names(lambda field: field.name in self.plan.catalog.context),
            nested_names=self.names(lambda field: "." in field.name),
            shown=tuple(shown.values()),
            abi=self.abi(),
            fired=Py("fired" if rules else "()"),
        )

    def unpacked(self) -> list[Py]:
        slots = sorted(self.event.layout.slots, key=lambda slot: slot.offset)
        return [_HEADER.get(slot.name) or py_variable(slot.name) for slot in slots]

    def variable(self) -> Iterator[Named]:
        fields = {field.name: field for field in self.event.captures}
        for slot in self.event.layout.variable:
            decoded = fields[slot.name].type.decode(Py("bytes(view[start:end])"))
            yield Named(py_variable(slot.name), literal=py_literal(slot.name), decoded=decoded)

    def values(self) -> Iterator[Named]:
        """Return what is computed from the slots: decoded values, parts, derived fields."""
        for field in self.event.captures:
            name = py_variable(field.name)
            decoded = field.type.decode(name)
            if not field.type.storage.variable and decoded != name:
                yield Named(name, decoded)
        for field in self.needed(PartOf):
            yield Named(py_variable(field.name), _part(field))
        for field in self.needed(Absent):
            yield Named(py_variable(field.name), Py("None"))
        yield from self.looked_up(late=False)
        for field, tree in self.implied.items():
            name, answer = py_variable(field.name), self.form.source(tree, Py("False"))
            value = py("{name} if {answer} else None", name=name, answer=answer)
            yield Named(name, value if field.when else answer)

    def told(self) -> Iterator[Py]:
        """Return the call that tells the table of processes of the event."""
        feed = self.event.feeds
        if feed is not None:
            given = [Py("time"), *(py_variable(field.name) for field in feed.fields)]
            method, arguments = py_ident(feed.method), join(", ", given, Py)
            yield py("host.processes.{m}({a})", m=method, a=arguments)

    def needed(self, origin: type) -> Iterator[Field]:
        """Return the fields of that origin that somebody reads."""
        return (field for field in self.read() if isinstance(field.origin, origin))

    def looked_up(self, *, late: bool) -> Iterator[Named]:
        """Return what is looked up: before the filters, or late, what they do not ask for."""
        filtered = {leaf.field for leaf in leaves(self.event.keep) if isinstance(leaf, Test)}
        for field in self.needed(LookUp):
            if late != (field in filtered):
                yield Named(py_variable(field.name), _look_up(field))

    def read(self) -> dict[Field, None]:
        """Return the fields that somebody reads, each once."""
        tests = [
            leaf.field for tree in self.trees() for leaf in leaves(tree) if isinstance(leaf, Test)
        ]
        reads = (field for match in self.event.matches for field in match.reads)
        read = (*self.event.shown, *tests, *reads)
        beside = (self.event.type.fields[f.type.beside] for f in read if f.type.beside)
        return dict.fromkeys((*read, *beside))

    def trees(self) -> Iterator[Tree]:
        yield self.event.keep
        for match in self.event.matches:
            yield match.tree
            yield match.rest
        yield from self.implied.values()

    def implied_by(self, field: Field) -> Tree:
        assert field.implied is not None
        scope = scope_of([self.event.type], {}, {})
        return check(field.implied, scope, Report(lambda _: None))[self.event.name]

    def keep(self) -> Iterator[Matcher]:
        if self.event.keep != YES:
            left_open = py("left_open({n})", n=len(self.plan.rules))
            test = self.form.source(self.event.keep, left_open)
            name = py("keep_{event}", event=self.name)
            yield Matcher(name, arguments_of([self.event.keep]), test)

    def names(self, wanted: Callable[[Field], bool]) -> Py:
        """Return the names of the fields shown that are wanted, as a literal."""
        return py_literal(tuple(field.name for field in self.event.shown if wanted(field)))

    def shown(self) -> dict[str, Py]:
        """Return the source of each value that the event has, in the order of the keys."""
        envelope = {
            "timestamp": Py("str(wall)"),
            "syscall_id": self.number(),
            "type": py_literal(self.event.name),
            "human_time": Py("clock.human(wall)"),
        }
        fields = {field.name: self.shown_field(field) for field in self.event.shown}
        rank = {name: number for number, name in enumerate(ORDER)}
        nested = nest({**envelope, **fields})
        return {key: nested[key] for key in sorted(nested, key=lambda k: rank.get(k, len(rank)))}

    def texts(self) -> Iterator[Named]:
        for field in self.event.shown:
            name = py_variable(field.name)
            if field.kind is Kind.TEXT:
                decoded = py("{name}.decode()", name=name)
            elif field.kind is Kind.TEXTS:
                decoded = py("[element.decode() for element in {name}]", name=name)
            else:
                continue
            yield Named(name, place=place_in(Py("raw"), field.name), decoded=decoded)

    def shown_field(self, field: Field) -> Py:
        if field.kind in _TEXTUAL:
            return py("shown_{name}", name=py_variable(field.name))
        return self.shown_value(field)

    def number(self) -> Py:
        native = py_literal(self.event.type.number)
        if not self.event.is_abi_told:
            return native
        return py("{native} if abi_number == {mark} else abi_number", native=native, mark=NATIVE)

    def abi(self) -> Py:
        """Return which calls an event's is one of, if it can be a 32-bit one."""
        if not self.event.is_abi_told:
            return NOTHING
        name = py_literal(self.plan.catalog.abi)
        return py("None if abi_number == {mark} else {name}", mark=NATIVE, name=name)

    def shown_value(self, field: Field) -> Py:
        name, shower = py_variable(field.name), field.type.shower()
        if shower is None:
            return name
        show = self.form.hoist(shower)
        given = name
        if field.type.beside is not None:
            given = py("{name}, {other}", name=name, other=py_variable(field.type.beside))
        if not _may_miss(field):
            return py("{show}({given})", show=show, given=given)
        return py("None if {n} is None else {show}({given})", n=name, show=show, given=given)


def _part(field: Field) -> Py:
    assert isinstance(field.origin, PartOf)
    function = field.origin.part.python
    module = py_ident(function.__module__.rpartition(".")[2])
    given = [py_variable(field.origin.whole), *map(py_literal, field.origin.part.given)]
    call = py("{m}.{f}({g})", m=module, f=py_ident(function.__name__), g=join(", ", given, Py))
    return py("None if {w} is None else {call}", w=py_variable(field.origin.whole), call=call)


def _look_up(field: Field) -> Py:
    """Return the call of a look-up, where nothing that it is given is missing."""
    origin = field.origin
    assert isinstance(origin, LookUp), "only those are looked up"
    given = [py_variable(field.name) for field in origin.fields]
    call = py("host.{m}({g})", m=py_ident(origin.method), g=join(", ", given, Py))
    missing = [
        py("{name} is None", name=py_variable(field.name))
        for field in origin.fields
        if _may_miss(field)
    ]
    if not missing:
        return call
    return py("None if {missing} else {call}", missing=join(" or ", missing, Py), call=call)
