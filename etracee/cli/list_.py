"""`etracee list`: what profiles and rules may name, from the catalog itself."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

import click

from etracee.catalog import load_catalog
from etracee.operators import all_operators
from etracee.problems import ProblemsError, did_you_mean, name_some, tell
from etracee.profile import load_profile
from etracee.profile.families import SYSCALLS, families_of
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


def _families() -> Iterable[Row]:
    yield ("FAMILY", "EVENTS", "MEANING")
    catalog = load_catalog()
    for name, events in families_of(catalog).items():
        yield (f"${name}", ", ".join(events), catalog.family_docs.get(name, "-"))


def _fields() -> Iterable[Row]:
    yield ("FIELD", "EVENTS", "TYPE", "READ FROM", "MEANING")
    catalog = load_catalog()
    for field in catalog.context.values():
        yield (field.name, "all", field.type.doc, field.read_from, field.doc)
    for event in catalog.events.values():
        for field in event.fields.values():
            yield (field.name, event.name, field.type.doc, field.read_from, field.doc)


def _merge_events(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield one row for what is the same field in several events."""
    events: dict[Row, list[str]] = {}
    for name, event, *rest in rows:
        events.setdefault((name, *rest), []).append(event)
    for (name, *rest), named in events.items():
        yield (name, ", ".join(named), *rest)


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
    "families": _families,
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
    have such a field; `list events '$open'` those of a family, and `list families` the families.
    Where many events are meant, NAMES shows all of them.
    """
    head, *rows = _SUBJECTS[subject]()
    shown = [row for row in rows if not names or set(names) & _names_of(subject, row)]
    if subject == "fields":
        shown = list(_merge_events(shown))
    if not shown:
        known = {name for row in rows for name in _names_of(subject, row)}
        near = (did_you_mean(name, sorted(known)) for name in names)
        hints = "".join(f" ({hint})" for hint in near if hint)
        tell(f"no {subject} of that name{hints}")
        sys.exit(2)
    for line in _table(head, shown, name_all=bool(names)):
        print(line)


def _names_of(subject: str, row: Row) -> set[str]:
    """Return what a row is asked for by; an event also by its families, and a family by its events.

    The family of all calls is asked for by its name alone.
    """
    if subject == "families":
        events = [] if row[0] == f"${SYSCALLS}" else row[1].split(", ")
        return {row[0], row[0][1:], *events}
    families = row[2].split(", ") if subject == "events" else ()
    return {*row[:2], *families}


MOST_EVENTS = 3
"""Events that are named within a row."""


def _table(head: Row, rows: Iterable[Row], *, name_all: bool) -> Iterator[str]:
    """Yield the lines of a table; `name_all` has events below a row that has no room for them."""
    column = head.index("EVENTS") if "EVENTS" in head else len(head)
    shown = [_shorten_events(row, column, name_all=name_all) for row in rows]
    widths = _widths([head, *(row for row, _ in shown)])
    yield _line(head, widths)
    for row, below in shown:
        yield _line(row, widths)
        if below:
            yield _below(below)


def _shorten_events(row: Row, column: int, *, name_all: bool) -> tuple[Row, str]:
    """Return the row with few events, and what stands below it."""
    events = ", ".join(row[column : column + 1])
    names = events.split(", ")
    if len(names) <= MOST_EVENTS:
        return row, ""
    short = f"{len(names)} events" if name_all else name_some(names, MOST_EVENTS)
    return (*row[:column], short, *row[column + 1 :]), events if name_all else ""


def _below(text: str) -> str:
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


_INDENT = "    "


def _widths(rows: Sequence[Row]) -> list[int]:
    return [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]


def _line(row: Row, widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*cells, row[-1]])
