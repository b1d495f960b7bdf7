"""Where a field's value lies in the C of a record, named `r` there."""

from __future__ import annotations

from collections.abc import Callable

from etracee.catalog import Field
from etracee.catalog.model import Derivation, PartOf
from etracee.event import EventLayout, Slot
from etracee.expr.cform import Operands
from etracee.fragments import C, c, c_ident
from etracee.operators.base import CAddress, CNumber, COperand, CText
from etracee.types import Kind


def operands_of(layout: EventLayout) -> Operands:
    """Return the function that finds a field's operand in records of this layout."""

    def operand(field: Field) -> COperand | None:
        if isinstance(field.origin, Derivation):
            return None
        if isinstance(field.origin, PartOf):
            return _part(field, layout.slot(field.origin.whole))
        build = _BUILDERS.get(field.kind)
        return build(layout.slot(field.name)) if build else None

    return operand


def text_of(slot: Slot) -> C:
    """Return the name of the C variable that points to a variable slot's bytes."""
    return c("{name}_text", name=c_ident(slot.name))


def _member(slot: Slot) -> C:
    return c("r->{name}", name=c_ident(slot.name))


def _number(slot: Slot) -> CNumber:
    return CNumber(_as_signed(_member(slot), slot.storage.c_type))


def _as_signed(value: C, c_type: str) -> C:
    """Widen to s64, in which all narrower types compare as numbers do."""
    return value if c_type in ("u64", "s64") else c("(s64){value}", value=value)


def _text(slot: Slot) -> CText:
    member = _member(slot)
    if slot.storage.array:
        limit = slot.storage.array - 1
        length = c("array_length({member}, {limit})", member=member, limit=limit)
        return CText(member, length, limit, terminated=True)
    return CText(
        pointer=text_of(slot),
        length=c("LENGTH({member})", member=member),
        limit=slot.limit,
        exists=c("{member} != UNREADABLE", member=member),
        cut=c("({member} & CUT)", member=member),
    )


_BUILDERS: dict[Kind, Callable[[Slot], COperand]] = {
    Kind.NUMBER: _number,
    Kind.FLAGS: _number,
    Kind.TEXT: _text,
}


def _part(field: Field, whole: Slot) -> COperand | None:
    """Return a part's operand: the C functions of its name are given the whole."""
    assert isinstance(field.origin, PartOf)
    stem = field.origin.part.c_name
    if stem is None:
        return None
    name, member = c_ident(stem), _member(whole)
    given = member
    if whole.storage.variable:
        given = c("{text}, LENGTH({member})", text=text_of(whole), member=member)
    there = c("{name}_exists({given})", name=name, given=given)
    if whole.storage.variable:
        there = c("({member} != UNREADABLE && {there})", member=member, there=there)
    if field.kind is Kind.ADDRESS:
        high, low = (c("{n}_{h}({g})", n=name, h=C(half), g=given) for half in ("high", "low"))
        return CAddress(high, low, there)
    return CNumber(c("(s64){name}({given})", name=name, given=given), there)
