"""Second pass: find what somebody reads; the rest is not captured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from etracee.catalog import Field
from etracee.catalog.model import NOT_IN_RECORDS, FileOf, LookUp, PartOf
from etracee.expr.check import check
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import Reference, Test, Tree, leaves
from etracee.plan.resolve import ResolvedEvent
from etracee.profile import Options
from etracee.types import Kind


@dataclass(frozen=True)
class Demand:
    """An event with the fields to capture, and how many bytes of the variable ones."""

    event: ResolvedEvent
    captures: tuple[Field, ...]
    limits: dict[str, int]


def find_demand(event: ResolvedEvent, options: Options) -> Demand:
    """Return what has to be captured for what is shown, filtered and matched."""
    tests = _tests(event)
    captures = tuple(sorted(dict.fromkeys(_wholes(event, find_reads(event))), key=_is_replaced))
    limits = {
        field.name: _limit(field, tests, options)
        for field in captures
        if field.type.storage.variable
    }
    return Demand(event, captures, limits)


def find_reads(event: ResolvedEvent) -> list[Field]:
    """Return the fields that are shown, filtered, matched, counted, and that tell of processes."""
    read = [
        *event.shown,
        *(test.field for test in _tests(event)),
        *(field for match in event.matches for field in match.reads),
        *(event.feeds.fields if event.feeds else ()),
        *(part.field for part in (event.counted.parts if event.counted else ())),
    ]
    return read + [event.type.fields[field.type.beside] for field in read if field.type.beside]


def _tests(event: ResolvedEvent) -> list[Test]:
    trees = (event.keep, *_of_rules(event), *_implied(event))
    return [leaf for tree in trees for leaf in leaves(tree) if isinstance(leaf, Test)]


def _of_rules(event: ResolvedEvent) -> Iterator[Tree]:
    for match in event.matches:
        yield match.tree
        yield match.rest


def _is_replaced(field: Field) -> tuple[bool, bool]:
    """Say whether a new image, and a request's end, brings another value: the last can get it."""
    origin = field.origin
    if not isinstance(origin, FileOf):
        return False, False
    return True, origin.held or origin.result == "descriptor"


def _implied(event: ResolvedEvent) -> Iterator[Tree]:
    """Return what the shown fields depend on."""
    scope = scope_of([event.type], {}, {})
    for field in event.shown:
        if field.implied is not None:
            trees = check(field.implied, scope, Report(lambda _: None))
            yield trees[event.type.name]
    for part in event.counted.parts if event.counted else ():
        yield part.implied


def _wholes(event: ResolvedEvent, fields: Iterable[Field]) -> Iterator[Field]:
    """Replace fields by what they are read out of, and leave out what has no place of its own."""
    for field in fields:
        if isinstance(field.origin, PartOf):
            yield event.type.fields[field.origin.whole]
        elif isinstance(field.origin, LookUp):
            yield from field.origin.fields
        elif not isinstance(field.origin, NOT_IN_RECORDS):
            yield field


def _limit(field: Field, tests: list[Test], options: Options) -> int:
    """Return the bytes to capture: what the options say, widened to the longest constant."""
    if field.type.most is not None:
        return field.type.most
    if field.kind is Kind.TEXTS:
        return options.max_argv
    longest = (
        t.operator.longest(t.constant)
        for t in tests
        if t.field.name == field.name and not isinstance(t.constant, Reference)
    )
    return max(options.max_string, *(length + 1 for length in longest), 0)
