"""What may stand behind an operator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etracee.catalog import Field
from etracee.operators import Operator
from etracee.operators.base import Takes
from etracee.types import Kind, Type
from etracee.types.base import bounds

LONGEST_TEXT = 4095
"""Bytes of a constant: PATH_MAX without its NUL (include/uapi/linux/limits.h)."""


def count_problem(
    operator: Operator, kind: Type, is_list: bool, count: int
) -> tuple[str, str] | None:
    """Return what is wrong with the number of values behind an operator, and a hint, or None."""
    if operator.takes is Takes.NOTHING:
        return None
    if not count:
        return "the list is empty", "give it at least one element"
    if is_list and operator.takes is Takes.ONE:
        return f"{operator.symbol} takes one value, not a list", "`in` takes a list"
    if not is_list and operator.takes is Takes.MANY and kind.kind is Kind.TEXT:
        return "in takes a list", "as in `comm in (sh, bash)`"
    return None


def check_range(field: Field, constant: Any) -> None:
    """Raise ValueError for what no value of the field can be."""
    if isinstance(constant, bytes) and len(constant) > LONGEST_TEXT:
        raise ValueError(f"a text of more than {LONGEST_TEXT} bytes is longer than any path")
    if field.kind is not Kind.NUMBER and field.kind is not Kind.FLAGS:
        return
    low, high = bounds(field.type.storage)
    for number in _numbers(constant):
        if not low <= number <= high:
            raise ValueError(f"{number} is out of range, which is {low}..{high}")


def _numbers(constant: Any) -> Iterable[int]:
    if isinstance(constant, int):
        yield constant
    elif isinstance(constant, tuple):
        for item in constant:
            yield from _numbers(item)
