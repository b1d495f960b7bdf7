"""How Python reads the values of an event's record: the sources of the generated decoder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from etracee.catalog import Field
from etracee.catalog.model import Absent, LookUp, PartOf
from etracee.event import ABI_NUMBER, NATIVE, Slot
from etracee.expr.check import check
from etracee.expr.evaluate import PythonForm
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import YES, Test, Tree, leaves
from etracee.fragments import Py, join, py, py_ident, py_literal, py_variable
from etracee.plan import EventPlan, Plan
from etracee.render.matchers import Matcher, arguments_of
from etracee.render.nesting import nest, place_in
from etracee.types import Kind

NOTHING = Py("")
_ORDER = (
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


@dataclass(frozen=True)
class Named:
    """A name with source: a value, a constant, a text with its literal name or its place."""

    name: Py
    source: Py = NOTHING
    literal: Py = NOTHING
    decoded: Py = NOTHING
    place: Py = NOTHING


def may_miss(field: Field) -> bool:
    """Say whether the variable of a field can be None."""
    return field.type.may_miss or isinstance(field.origin, PartOf | LookUp) or bool(field.when)


def may_be_cut(field: Field) -> bool:
    """Say whether the name of a field can stand in the variable `cut`."""
    return field.may_be_cut


TEXTUAL = (Kind.TEXT, Kind.TEXTS)
_HEADER = {
    "event": Py("_"),
    "time": Py("time"),
    "rules": Py("bits"),
    ABI_NUMBER: Py("abi_number"),
}


class Decoded:
    """The sources of one event's values."""

    def __init__(self, plan: Plan, event: EventPlan, form: PythonForm) -> None:
        self.plan, self.event, self.form = plan, event, form
        self.name = py_ident(event.name)
        self.implied = {f: self.implied_by(f) for f in event.shown if f.implied is not None}

    def unpacked(self) -> list[Py]:
        """Return the variables of the slots, in their order in the record."""
        return [unpacked_name(slot) for slot in sorted(self.event.layout.slots, key=_offset)]

    def variable(self, fields: Collection[Field]) -> Iterator[Named]:
        """Return the slots of variable length; those of `fields` alone are decoded."""
        captures = {field.name: field for field in self.event.captures}
        for slot in self.event.layout.variable:
            field = captures[slot.name]
            decoded = field.type.decode(Py("bytes(view[start:end])"))
            yield Named(
                py_variable(slot.name),
                literal=py_literal(slot.name),
                decoded=decoded if field in fields else NOTHING,
            )

    def values(self, fields: Collection[Field]) -> Iterator[Named]:
        """Return what of `fields` is computed from slots: decoded values, parts, derived fields."""
        for field in self.event.captures:
            name = py_variable(field.name)
            decoded = field.type.decode(name)
            if field in fields and not field.type.storage.variable and decoded != name:
                yield Named(name, decoded)
        for field in self.needed(PartOf):
            if field in fields:
                yield Named(py_variable(field.name), _part(field))
        for field in self.needed(Absent):
            if field in fields:
                yield Named(py_variable(field.name), Py("None"))

    def implied_values(self, fields: Collection[Field]) -> Iterator[Named]:
        """Return what of `fields` depends on an expression over others."""
        for field, tree in self.implied.items():
            if field in fields:
                name, answer = py_variable(field.name), self.form.source(tree, Py("False"))
                value = py("{name} if {answer} else None", name=name, answer=answer)
                yield Named(name, value if field.when else answer)

    def with_inputs(self, fields: Iterable[Field]) -> dict[Field, None]:
        """Return the fields, and all that their values are computed from."""
        found: dict[Field, None] = {}
        for field in fields:
            found |= {**self.with_inputs(self.inputs(field)), field: None}
        return found

    def inputs(self, field: Field) -> Iterator[Field]:
        """Return the fields from which the printed value of `field` is computed at once."""
        if isinstance(field.origin, PartOf):
            yield self.event.type.fields[field.origin.whole]
        elif isinstance(field.origin, LookUp):
            yield from field.origin.fields
        if field in self.implied:
            yield from (test.field for test in _tests([self.implied[field]]) if test.field != field)
        if field.type.beside:
            yield self.event.type.fields[field.type.beside]

    def judged(self) -> dict[Field, None]:
        """Return the fields that the filters and the rules ask for, and what tells of processes."""
        matches = self.event.matches
        trees = (self.event.keep, *(tree for match in matches for tree in (match.tree, match.rest)))
        fields = [test.field for test in _tests(trees)]
        fields += (field for match in matches for field in match.reads)
        fields += self.event.feeds.fields if self.event.feeds else ()
        return self.with_inputs(fields)

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

    def looked_up(self, fields: Collection[Field], *, late: bool) -> Iterator[Named]:
        """Return what of `fields` is looked up: for the filters, or late, for others."""
        filtered = {test.field for test in _tests([self.event.keep])}
        for field in self.needed(LookUp):
            if field in fields and late != (field in filtered):
                yield Named(py_variable(field.name), _look_up(field))

    def read(self) -> dict[Field, None]:
        """Return the fields that somebody reads, each once."""
        tests = [test.field for test in _tests(self.trees())]
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

    def keys(self) -> dict[str, list[Field]]:
        """Return the keys of an event in their order, and the fields that each holds.

        Those of the envelope hold none.
        """
        keys: dict[str, list[Field]] = {name: [] for name in self.envelope()}
        for field in self.event.shown:
            keys.setdefault(field.name.partition(".")[0], []).append(field)
        rank = {name: number for number, name in enumerate(_ORDER)}
        return {key: keys[key] for key in sorted(keys, key=lambda k: rank.get(k, len(rank)))}

    def envelope(self) -> dict[str, Py]:
        """Return the sources of what every event has."""
        return {
            "timestamp": Py("str(wall)"),
            "syscall_id": self.number(),
            "type": py_literal(self.event.name),
            "human_time": Py("clock.human(wall)"),
        }

    def sources(self, fields: Iterable[Field]) -> dict[str, Py]:
        """Return the sources of what is printed of `fields`, by key."""
        return nest({field.name: self.shown_field(field) for field in fields})

    def texts(self, fields: Iterable[Field]) -> Iterator[Named]:
        """Return how those of `fields` are decoded that are texts."""
        for field in fields:
            name = py_variable(field.name)
            if field.kind is Kind.TEXT:
                decoded = py("{name}.decode()", name=name)
            elif field.kind is Kind.TEXTS:
                decoded = py("[element.decode() for element in {name}]", name=name)
            else:
                continue
            yield Named(name, place=place_in(Py("raw"), field.name), decoded=decoded)

    def shown_field(self, field: Field) -> Py:
        if field.kind in TEXTUAL:
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
        if not may_miss(field):
            return py("{show}({given})", show=show, given=given)
        return py("None if {n} is None else {show}({given})", n=name, show=show, given=given)


def unpacked_name(slot: Slot) -> Py:
    """Return the variable of a slot."""
    return _HEADER.get(slot.name) or py_variable(slot.name)


def _offset(slot: Slot) -> int:
    return slot.offset


def _tests(trees: Iterable[Tree]) -> Iterator[Test]:
    return (leaf for tree in trees for leaf in leaves(tree) if isinstance(leaf, Test))


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
        if may_miss(field)
    ]
    if not missing:
        return call
    return py("None if {missing} else {call}", missing=join(" or ", missing, Py), call=call)
