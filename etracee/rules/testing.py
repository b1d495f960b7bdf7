"""Run the tests that stand in rule files: no kernel, no root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from etracee.catalog import Catalog, Field
from etracee.catalog.model import Derivation
from etracee.expr.evaluate import compile_tree
from etracee.expr.tree import Tree
from etracee.problems import Place, Problem, did_you_mean
from etracee.profile.model import Located
from etracee.rules.model import Rule, RuleTest


@dataclass(frozen=True)
class Outcome:
    """How one test ended; `problem` says what is wrong, None when it passed."""

    rule: str
    problem: Problem | None


def run_tests(
    rules: tuple[Rule, ...], conditions: Mapping[str, Mapping[str, Tree]], catalog: Catalog
) -> Iterator[Outcome]:
    """Run every test of `rules`; `conditions` are their checked trees by rule id and event."""
    for rule in rules:
        for test in rule.tests:
            trees = conditions[rule.id.text]
            yield Outcome(rule.id.text, _run(rule, test, trees, catalog))


def _run(rule: Rule, test: RuleTest, trees: Mapping[str, Tree], catalog: Catalog) -> Problem | None:
    if test.type not in trees:
        hint = did_you_mean(test.type, trees) or f"it has {', '.join(trees)}"
        return Problem(_place(test.where), f"{rule.id.text} has no event {test.type!r}", hint)
    fields = {**catalog.context, **catalog.events[test.type].fields}
    values: dict[str, Any] = {}
    for name, shown in test.values.items():
        try:
            values[name] = _value(name, shown, fields)
        except ValueError as error:
            return Problem(_place(test.where, name), f"{name}: {error}")
    fired = compile_tree(trees[test.type])(values, test.values.get("truncated") or ())
    if fired == test.fires:
        return None
    wanted, found = ("fire", "does not") if test.fires else ("stay quiet", "fires")
    message = f"{rule.id.text} should {wanted} on this {test.type}, but {found}"
    return Problem(_place(test.where), message)


_ENVELOPE = {"timestamp", "human_time", "syscall_id", "truncated", "raw"}


def _value(name: str, shown: object, fields: Mapping[str, Field]) -> object:
    """Return the value that is printed as `shown`; ValueError where there is no such field."""
    if name in _ENVELOPE or shown is None:
        return None
    field = fields.get(name)
    if field is None:
        hint = did_you_mean(name, fields)
        raise ValueError(f"the event has no such field{f'; {hint}' if hint else ''}")
    if isinstance(field.origin, Derivation):
        raise ValueError(f"it is derived: give what it comes from ({field.origin.expression})")
    return field.type.read_shown(shown)


def _place(where: Located, key: str | None = None) -> Place | None:
    path = where.path if key is None else (*where.path, key)
    return where.document.place(path) if where.document else None
