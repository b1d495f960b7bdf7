"""`etracee list`: what profiles and rules may name, from the catalog itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import click

from etracee.catalog import load_catalog
from etracee.operators import all_operators
from etracee.problems import ProblemsError, did_you_mean, tell
from etracee.profile import load_profile
from etracee.profile.written import Located
from etracee.resources import names_of
from etracee.rules import load_rules
from etracee.sinks import all_sinks

Row = Sequence[str]


def _events() -> Iterable[Row]:
    yield ("EVENT", "NUMBER", "FAMILIES", "MEANING")
    for event in load_catalog().events.values():
        number = str(event.number) if event.number is not None else "-"
        yield (event.name, number, ", ".join(f"${f}" for f in event.families) or "-", event.doc)


def _fields() -> Iterable[Row]:
    yield ("FIELD", "EVENTS", "TYPE", "READ FROM", "MEANING")
    catalog = load_catalog()
    for field in catalog.context.values():
        yield (field.name, "all", field.type.doc, field.read_from, field.doc)
    for event in catalog.events.values():
        for field in event.fields.values():
            yield (field.name, event.name, field.type.doc, field.read_from, field.doc)


MOST_EVENTS = 3
"""Events that are named of a field where all fields are shown; NAMES shows the others."""


def _merge_events(rows: Iterable[Row], most: int | None) -> Iterator[Row]:
    """Yield one row for what is the same field in several events, of which `most` are named."""
    events: dict[Row, list[str]] = {}
    for name, event, *rest in rows:
        events.setdefault((name, *rest), []).append(event)
    for (name, *rest), named in events.items():
        more = f" and {len(named) - most} more" if most and len(named) > most else ""
        yield (name, ", ".join(named[:most]) + more, *rest)


def _operators() -> Iterable[Row]:
    yield ("OPERATOR", "FOR", "TAKES", "MEANING", "EXAMPLE")
    for operator in all_operators().values():
        kinds = ", ".join(sorted(kind.value for kind in operator.kinds))
        yield (operator.symbol, kinds, operator.takes.value, operator.doc, operator.examples[0][0])


def _profiles() -> Iterable[Row]:
    yield ("PROFILE", "VERSION", "MEANING", "EVENTS")
    for name in names_of("profiles"):
        try:
            profile = load_profile(name)
        except ProblemsError as error:
            yield (name, "-", _why_unusable(error), "-")
        else:
            about = profile.description or ""
            yield (name, profile.version or "-", about, ", ".join(profile.events))


def _why_unusable(error: ProblemsError) -> str:
    return f"to be extended only: {error.problems[0].message}"


def _rules() -> Iterable[Row]:
    yield ("FILE", "RULE", "LEVEL", "EVENTS", "TITLE")
    for name in names_of("rules"):
        for rule in load_rules([Located(name)]).rules:
            events = ", ".join(event.text for event in rule.events)
            yield (name, rule.id.text, rule.level, events, rule.title)


def _sinks() -> Iterable[Row]:
    yield ("SINK", "WRITTEN", "GETS", "MEANING")
    for kind in all_sinks().values():
        gets = "all" if kind.takes_events else "alerts"
        yield (kind.name, kind.usage, gets, kind.doc)


_SUBJECTS: dict[str, Callable[[], Iterable[Row]]] = {
    "events": _events,
    "fields": _fields,
    "operators": _operators,
    "profiles": _profiles,
    "rules": _rules,
    "sinks": _sinks,
}


@click.command()
@click.argument("subject", type=click.Choice(list(_SUBJECTS)))
@click.argument("names", nargs=-1)
def command(subject: str, names: tuple[str, ...]) -> None:
    """Show what there is, with its meaning; with NAMES only rows that have one of them.

    `list fields openat` shows the fields of openat, and `list fields filename` the events that
    have such a field; `list events '$open'` those of a family.
    """
    head, *rows = _SUBJECTS[subject]()
    shown = [row for row in rows if not names or set(names) & _names_of(subject, row)]
    if subject == "fields":
        shown = list(_merge_events(shown, None if names else MOST_EVENTS))
    if not shown:
        known = {name for row in rows for name in _names_of(subject, row)}
        near = (did_you_mean(name, sorted(known)) for name in names)
        hints = "".join(f" ({hint})" for hint in near if hint)
        tell(f"no {subject} of that name{hints}")
        sys.exit(2)
    for row in (head, *shown):
        print(_line(row, _widths([head, *shown])))


def _names_of(subject: str, row: Row) -> set[str]:
    """Return what a row is asked for by; an event also by its families."""
    families = row[2].split(", ") if subject == "events" else ()
    return {*row[:2], *families}


def _widths(rows: Sequence[Row]) -> list[int]:
    return [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]


def _line(row: Row, widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*cells, row[-1]])
