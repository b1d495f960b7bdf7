"""Walks through the kernel's structures, in C."""

from __future__ import annotations

from collections.abc import Callable

from etracee.fragments import C, c, c_ident

Offset = Callable[[str], C]
"""Names the offset of `struct.member…` in C, and notes that it is needed."""


class Walker:
    """Follows pointers from a variable of the hook's function on; `base` is where it stands.

    The verifier knows the types of pointers that lead from the task, up to an element of an array
    whose number is not constant; elsewhere a helper reads.
    """

    def __init__(self, begin: str, offset: Offset) -> None:
        self._offset = offset
        self.base = c_ident(begin)
        self._is_typed = begin == "task"

    def follow(self, step: str) -> None:
        """Go where the pointer `struct.member…` leads; an array's index may be a member."""
        array, bracket, rest = step.partition("[")
        index, _, member = rest.partition("]")
        if not bracket or index.isdigit():
            self.base = self._pointer(self._offset(step))
            return
        first, second = (self._offset(f"{array}[{n}]{member}") for n in (0, 1))
        number = self.value(C("u32"), self._offset(index))
        at = c("{a} + {n} * ({b} - {a})", a=first, b=second, n=number)
        self._is_typed = False
        self.base = self._pointer(at)

    def offset_of(self, step: str, *, optional: bool) -> C:
        """Return the offset of the last step, which is negative where an optional one lacks."""
        return self._offset(f"{step}|" if optional else step)

    def value(self, kind: C, offset: C) -> C:
        """Return the expression that reads a value of C type `kind`."""
        load = C("LOAD") if self._is_typed else C("READ")
        return c("{load}({t}, {b}, {o})", load=load, t=kind, b=self.base, o=offset)

    def _pointer(self, offset: C) -> C:
        if self._is_typed:
            return c("POINTER({b}, {o})", b=self.base, o=offset)
        return c("(const void *)READ(u64, {b}, {o})", b=self.base, o=offset)
