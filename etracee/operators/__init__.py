"""Operators of the expression language: one module each, found by itself.

A module of this folder that defines `OPERATOR` brings its Python form, its C form if it has one,
its documentation and examples; grammar, checks and tests pick it up.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from etracee.operators.base import Operator


@functools.cache
def all_operators() -> Mapping[str, Operator]:
    """Return the operators by the word or sign that stands for them."""
    modules = (
        importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
    )
    found = (getattr(module, "OPERATOR", None) for module in modules)
    return {operator.symbol: operator for operator in found if operator}


__all__ = ["Operator", "all_operators"]
