"""How long what lies in user memory is, in the C of a record."""

from __future__ import annotations

from collections.abc import Callable

from etracee.catalog.model import Length
from etracee.fragments import C, c, c_int
from etracee.types import Type


def length_of(kind: Type, told: Length | None, register: Callable[[int], C]) -> C:
    """Return the bytes of a value in user memory, as the call tells them or the type does.

    `register` returns the call's argument of a number.
    """
    if told is None:
        return c_int(kind.most or 0)
    value = c("({t}){v}", t=C(told.c), v=register(told.index))
    if told.at is not None:
        value = c("USER({t}, {v} + {at})", t=C(told.c), v=register(told.index), at=told.at)
    return bytes_told(kind, value, told.c)


def bytes_told(kind: Type, value: C, c_type: str) -> C:
    """Return the bytes of a value of which `value`, of type `c_type`, tells the length."""
    if c_type.startswith("s"):
        value = c("POSITIVE({value})", value=value)
    if kind.unit > 1:
        value = c("TIMES({value}, {unit})", value=value, unit=kind.unit)
    if not kind.counts_excess:
        value = c("UP_TO({value}, {most})", value=value, most=kind.most or 0)
    return value
