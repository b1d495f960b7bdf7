"""The Python form of expressions: source for generated code, or an answer at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from etracee.catalog import Field
from etracee.expr.tree import AllOf, AnyOf, Fixed, Not, Reference, Test, Tree, leaves
from etracee.fragments import Py, join, py, py_literal, py_variable
from etracee.operators import like, matches
from etracee.operators.base import Operand
from etracee.types import Kind


class PythonForm:
    """Turns checked expressions into source over variables that are named after the fields.

    `may_miss` and `may_be_cut` say of a field whether its variable can be None, and whether its
    name can stand in the variable `cut`. What is computed once is collected in `constants`.
    """

    def __init__(
        self, may_miss: Callable[[Field], bool], may_be_cut: Callable[[Field], bool]
    ) -> None:
        self.may_miss, self.may_be_cut = may_miss, may_be_cut
        self.constants: dict[Py, Py] = {}

    def source(self, tree: Tree, left_open: Py) -> Py:
        """Return an expression that is true or false; `left_open` counts answers lost to a cut."""
        if isinstance(tree, Fixed):
            return Py(str(tree.value))
        if isinstance(tree, Not):
            return py("(not {inner})", inner=self.source(tree.inner, left_open))
        if isinstance(tree, AllOf | AnyOf):
            word = " and " if isinstance(tree, AllOf) else " or "
            parts = [self.source(part, left_open) for part in tree.parts]
            return py("({parts})", parts=join(word, parts, Py))
        return self._test(tree, left_open)

    def _test(self, test: Test, left_open: Py) -> Py:
        value = py_variable(test.field.name)
        cut = (
            py("{name} in cut", name=py_literal(test.field.holder))
            if self.may_be_cut(test.field)
            else None
        )
        is_list = test.field.kind is Kind.TEXTS
        operand = Operand(value, cut, left_open, self.hoist, is_list)
        if isinstance(test.constant, Reference):
            other = test.constant.variable
            source = test.operator.python(operand, other)
            source = py("({other} is not None and {test})", other=other, test=source)
        else:
            source = test.operator.python(operand, test.constant)
        if not self.may_miss(test.field):
            return py("({test})", test=source)
        return py("({value} is not None and {test})", value=value, test=source)

    def hoist(self, source: Py) -> Py:
        """Return the name of a constant with the value of `source`."""
        return self.constants.setdefault(source, py("CONSTANT_{n}", n=len(self.constants)))


def compile_tree(tree: Tree) -> Callable[[Mapping[str, Any], Collection[str]], bool]:
    """Return the function that answers `tree` for values by name and the names of cut ones.

    A value that is not there is missing.
    """
    form = PythonForm(lambda _: True, lambda _: True)
    code = compile(form.source(tree, Py("False")), "expression", "eval")
    modules: dict[str, Any] = {"like": like, "matches": matches}
    constants = {str(name): eval(source, modules) for source, name in form.constants.items()}  # noqa: S307
    tests = [leaf for leaf in leaves(tree) if isinstance(leaf, Test)]
    missing = {str(py_variable(test.field.name)): None for test in tests}

    def answer(values: Mapping[str, Any], cut: Collection[str]) -> bool:
        named = {str(py_variable(name)): value for name, value in values.items()}
        return bool(eval(code, {**modules, **constants, **missing, **named, "cut": cut}))  # noqa: S307

    return answer
