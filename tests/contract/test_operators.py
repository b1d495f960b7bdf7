"""What every operator keeps to; a new module under etracee/operators is picked up by itself."""

from __future__ import annotations

import pkgutil
from typing import Any

import pytest

from etracee import operators
from etracee.catalog import load_catalog
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.parse import parse
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import Test, Tree, leaves
from etracee.operators import Operator, all_operators
from etracee.operators.base import Takes
from etracee.types import Kind

CATALOG = load_catalog("x86_64")
OPERATORS = all_operators().values()
EXAMPLES = [(op, *example) for op in OPERATORS for example in op.examples]

each_operator = pytest.mark.parametrize("operator", OPERATORS, ids=lambda op: op.symbol)


def _tree(text: str) -> Tree:
    """Return the expression for an event that has all its fields, unconditional ones first."""
    told = []
    events = CATALOG.events.values()
    for event in sorted(events, key=lambda event: any(f.when for f in event.fields.values())):
        report = Report(lambda _: None)
        tree = check(text, scope_of([event], CATALOG.context, {}), report)[event.name]
        if not report.problems:
            return tree
        told += report.problems
    raise AssertionError(f"no event takes {text}: {told}")


def _value(field: Any, shown: Any) -> Any:
    return field.type.read_shown(shown) if isinstance(shown, str) else shown


@pytest.mark.parametrize(
    ("operator", "text", "fulfils", "fails"), EXAMPLES, ids=[text for _, text, _, _ in EXAMPLES]
)
def test_example_holds(operator: Operator, text: str, fulfils: Any, fails: Any) -> None:
    tree = _tree(text)
    fields = {leaf.field.name: leaf.field for leaf in leaves(tree) if isinstance(leaf, Test)}
    answer = compile_tree(tree)
    yes = {name: _value(fields[name], shown) for name, shown in fulfils.items()}
    no = {name: _value(fields[name], shown) for name, shown in fails.items()}
    assert operator.symbol in text
    assert answer(yes, ())
    assert not answer(no, ())


@pytest.mark.parametrize("text", [text for _, text, _, _ in EXAMPLES])
def test_missing_value_makes_a_comparison_false(text: str) -> None:
    tree = _tree(text)
    assert not compile_tree(tree)({}, ())
    assert compile_tree(_tree(f"not {text}"))({}, ())


@each_operator
def test_is_documented(operator: Operator) -> None:
    assert operator.doc.endswith(".")
    assert operator.kinds
    assert operator.examples
    assert operator.__class__.__doc__


@each_operator
def test_is_part_of_the_grammar(operator: Operator) -> None:
    operand = "" if operator.takes is Takes.NOTHING else "(x)"
    written = parse(f"not some.field {operator.symbol} {operand} and other").parts[0].inner
    assert (written.name, written.operator) == ("some.field", operator.symbol)


@each_operator
def test_applies_to_a_field_of_some_event(operator: Operator) -> None:
    """An operator for kinds of which no field is could never be used."""
    fields = [f for event in CATALOG.events.values() for f in event.fields.values()]
    assert operator.kinds & {field.kind for field in fields}


def test_every_kind_has_operators_or_stands_alone() -> None:
    covered = frozenset[Kind]().union(*(operator.kinds for operator in OPERATORS))
    assert set(Kind) - covered == {Kind.TRUTH}


def test_discovery_loses_none() -> None:
    """Two modules with one symbol would hide one of them."""
    shared = {"base", "ctext", "grams", "ordering"}
    modules = {info.name for info in pkgutil.iter_modules(operators.__path__)} - shared
    assert len(modules) == len(all_operators())
