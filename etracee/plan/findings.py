"""What resolving finds wrong or doubtful, and the names that hold for all expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as default

from etracee.catalog import Catalog, EventType, Field
from etracee.expr.check import check
from etracee.expr.scope import Expression, Report, Scope, scope_of
from etracee.expr.tree import Tree
from etracee.problems import Place, Problem
from etracee.profile.definitions import Definition, Macro, NamedList, merge_definitions
from etracee.profile.written import Located


@dataclass
class Findings:
    """Problems and warnings of all expressions."""

    problems: list[Problem] = default(default_factory=list)
    warnings: list[Problem] = default(default_factory=list)

    def check(self, text: Located, scope: Scope, option: str | None = None) -> Mapping[str, Tree]:
        """Return the expression for each event of the scope, and note what is wrong with it."""
        report = report_for(text)
        trees = check(text.text, scope, report)
        named = f"{option}: " if option else ""
        self.problems += (Problem(p.where, named + p.message, p.hint) for p in report.problems)
        self.warnings += report.warnings
        return trees

    def problem(self, text: Located, message: str, hint: str | None = None) -> None:
        """Note something wrong with what was written at `text`."""
        self.problems.append(Problem(text.place(), message, hint))

    def problem_at_key(self, text: Located, message: str, hint: str | None = None) -> None:
        """Note something wrong with the key that leads to `text`."""
        self.problems.append(Problem(text.key_place(), message, hint))

    def warning(self, text: Located, message: str, hint: str | None = None) -> None:
        """Note something doubtful about what was written at `text`."""
        self.warnings.append(Problem(text.place(), message, hint))


class Names:
    """Lists and macros over all files, and the catalog's families, which are lists too."""

    def __init__(
        self, catalog: Catalog, definitions: Iterable[Definition], findings: Findings
    ) -> None:
        self.catalog = catalog
        merged, problems = merge_definitions(definitions)
        findings.problems += problems
        for name in merged.keys() & catalog.families.keys():
            message = f"the name {name!r} is that of a family of events"
            findings.problems.append(Problem(merged[name].name.key_place(), message))
        lists = {name: d.words for name, d in merged.items() if isinstance(d, NamedList)}
        self.lists = {**catalog.families, **lists}
        self.macros = {
            name: _expression(d.condition) for name, d in merged.items() if isinstance(d, Macro)
        }

    def scope(self, events: Iterable[EventType]) -> Scope:
        """Return the scope of an expression over `events`."""
        return scope_of(events, self.catalog.context, self.lists, self.macros)


def report_for(text: Located) -> Report:
    """Return a report that notes the places within a text."""
    expression = _expression(text)
    return Report(expression.place, expression.quoting)


def _expression(text: Located) -> Expression:
    document = text.document
    if document is None:
        return Expression(text.text, _nowhere)
    return Expression(text.text, document.offset_place(text.path), document.quoting_hint(text.path))


def _nowhere(_: int) -> Place | None:
    return None


def fields_of(scope: Scope, name: str) -> dict[str, Field]:
    """Return, by event, the fields of that name."""
    return {event: fields[name] for event, fields in scope.events.items() if name in fields}
