"""The Python form of expressions: source for generated code, or an answer at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etracee.catalog import Field
from etracee.expr.tree import All, Any_, Fixed, Not, Test, Tree
from etracee.fragments import Py, join, py, py_ident
from etracee.operators.base import Operand

OPERATOR_MODULES = Py("from etracee.operators import like, matches")
"""What generated source needs to have imported, for the values that forms hoist."""


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
        if isinstance(tree, All | Any_):
            word = " and " if isinstance(tree, All) else " or "
            parts = [self.source(part, left_open) for part in tree.parts]
            return py("({parts})", parts=join(word, parts, Py))
        return self._test(tree, left_open)

    def _test(self, test: Test, left_open: Py) -> Py:
        value = py_ident(test.field.name)
        cut = py("{name!r} in cut", name=value) if self.may_be_cut(test.field) else None
        operand = Operand(value, cut, left_open, self._hoist)
        source = test.operator.python(operand, test.constant)
        if not self.may_miss(test.field):
            return py("({test})", test=source)
        return py("({value} is not None and {test})", value=value, test=source)

    def _hoist(self, source: Py) -> Py:
        return self.constants.setdefault(source, py("CONSTANT_{n}", n=len(self.constants)))


def evaluate(test: Test, value: Any, cut: bool = False) -> bool:
    """Return the answer of one comparison for a value, None where it is missing."""
    from etracee.operators import like, matches

    form = PythonForm(lambda _: True, lambda _: cut)
    source = form.source(test, Py("False"))
    names: dict[str, Any] = {"like": like, "matches": matches}
    for constant, name in form.constants.items():
        names[name] = eval(constant, names)  # noqa: S307 - made of typed fragments
    names |= {py_ident(test.field.name): value, "cut": (test.field.name,) if cut else ()}
    return bool(eval(source, names))  # noqa: S307 - made of typed fragments
