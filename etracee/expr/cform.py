"""The C form of expressions, over the values of a record."""

from __future__ import annotations

from collections.abc import Callable

from etracee.catalog import Field
from etracee.expr.tree import AllOf, AnyOf, Fixed, Not, Test, Tree
from etracee.fragments import C, c, join
from etracee.operators.base import CForm, CFunction, COperand

Operands = Callable[[Field], COperand | None]
"""Says where a field's value lies in C; None where it has no place there."""


def c_form_of(test: Test, operands: Operands) -> CForm | None:
    """Return the C form of one comparison, None where it has to be decided in Python."""
    operand = operands(test.field)
    form = test.operator.c_form(operand, test.constant) if operand else None
    if form is None or operand is None or operand.exists is None:
        return form
    expression = c("({exists} && {test})", exists=operand.exists, test=form.expression)
    return CForm(expression, form.functions)


def c_source(tree: Tree, operands: Operands) -> CForm:
    """Return the C form of a tree of which every test has one."""
    if isinstance(tree, Fixed):
        return CForm(C("1" if tree.value else "0"))
    if isinstance(tree, Test):
        form = c_form_of(tree, operands)
        assert form is not None, "the tree was widened to what has a C form"
        return form
    if isinstance(tree, Not):
        inner = c_source(tree.inner, operands)
        return CForm(c("!({inner})", inner=inner.expression), inner.functions)
    return _joined(tree, operands)


def _joined(tree: AllOf | AnyOf, operands: Operands) -> CForm:
    forms = [c_source(part, operands) for part in tree.parts]
    sign = "\n        && " if isinstance(tree, AllOf) else "\n        || "
    functions: dict[C, CFunction] = {f.name: f for form in forms for f in form.functions}
    expression = c("({parts})", parts=join(sign, [form.expression for form in forms], C))
    return CForm(expression, tuple(functions.values()))
