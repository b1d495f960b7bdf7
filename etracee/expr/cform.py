"""The C form of expressions, over the values of a record."""

from __future__ import annotations

from typing import Protocol

from etracee.catalog import Field
from etracee.expr.tree import AllOf, AnyOf, Fixed, Not, Reference, Test, Tree
from etracee.fragments import C, c, join
from etracee.operators.base import CForm, CFunction, COperand, Refusal


class Operands(Protocol):
    """Says where values lie in C, and which comparisons are looked up instead of made."""

    def of(self, field: Field) -> COperand | Refusal:
        """Return where a field's value lies, or why it has no place in C."""

    def bit(self, test: Test) -> int | None:
        """Return the comparison's place in what is looked up for its field; None without one."""

    def found(self, field: str, bits: int) -> list[C]:
        """Return C, some of which is true where one of `bits` was found; it knows of missing ones.

        `bits` is a mask.
        """


def c_form_of(test: Test, operands: Operands) -> CForm | Refusal:
    """Return the C form of one comparison, or why it has to be decided in Python."""
    if isinstance(test.constant, Reference):
        return Refusal("it compares with the event of an earlier step")
    operand = operands.of(test.field)
    if isinstance(operand, Refusal):
        return operand
    bit = operands.bit(test)
    if bit is not None:
        return CForm(operands.found(test.field.name, 1 << bit)[0])
    form = test.operator.c_form(operand, test.constant)
    if isinstance(form, Refusal) or operand.exists is None:
        return form
    expression = c("({exists} && {test})", exists=operand.exists, test=form.expression)
    return CForm(expression, form.functions)


def c_source(tree: Tree, operands: Operands) -> CForm:
    """Return the C form of a tree of which every test has one."""
    if isinstance(tree, Fixed):
        return CForm(C("1" if tree.value else "0"))
    if isinstance(tree, Test):
        form = c_form_of(tree, operands)
        assert isinstance(form, CForm), "the tree was widened to what has a C form"
        return form
    if isinstance(tree, Not):
        inner = c_source(tree.inner, operands)
        return CForm(c("!({inner})", inner=inner.expression), inner.functions)
    return _joined(tree, operands)


def _joined(tree: AllOf | AnyOf, operands: Operands) -> CForm:
    if isinstance(tree, AllOf):
        return _chain("\n        && ", [c_source(part, operands) for part in tree.parts])
    masks: dict[str, int] = {}
    forms = []
    for part in tree.parts:
        bit = operands.bit(part) if isinstance(part, Test) else None
        if bit is None:
            forms.append(c_source(part, operands))
        else:
            masks[part.field.name] = masks.get(part.field.name, 0) | 1 << bit
    for name, mask in masks.items():
        forms += map(CForm, operands.found(name, mask))
    return _chain("\n        || ", forms)


def _chain(sign: str, forms: list[CForm]) -> CForm:
    forms = list({form.expression: form for form in forms}.values())
    functions: dict[C, CFunction] = {f.name: f for form in forms for f in form.functions}
    expression = c("({parts})", parts=join(sign, [form.expression for form in forms], C))
    return CForm(expression, tuple(functions.values()))
