"""Where a field's value lies in the C of a record, named `r` there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from etracee.catalog import Field
from etracee.catalog.model import LookUp, PartOf
from etracee.event import EventLayout, Slot
from etracee.expr.tree import Test
from etracee.fragments import C, c, c_ident, c_int, join
from etracee.operators.base import CAddress, CNumber, COperand, CText, Refusal
from etracee.plan.grams import Grams
from etracee.plan.tries import Trie
from etracee.types import Kind


@dataclass(frozen=True)
class RecordOperands:
    """Values of records of one layout; comparisons that have a place in a trie are looked up."""

    layout: EventLayout
    tries: Mapping[str, Trie]
    grams: Mapping[str, Grams]
    rough: bool = False
    """Texts are taken to be there and whole, and their ends are told by the last bytes alone.

    That is true more often, where nothing is negated.
    """

    def of(self, field: Field) -> COperand | Refusal:
        """Return where a field's value lies, or why it has no place in C."""
        if isinstance(field.origin, LookUp):
            return Refusal(f"{field.name} is looked up in Python")
        if not field.in_c:
            return Refusal(f"{field.name} is put together in Python")
        if isinstance(field.origin, PartOf):
            return _part(field, self.layout.slot(field.origin.whole))
        build = _BUILDERS.get(field.kind)
        if build is None:
            return Refusal(_WHY_NOT.get(field.kind, f"{field.name} is compared by its parts only"))
        operand = build(self.layout.slot(field.name), self.layout.size)
        if isinstance(operand, CNumber) and field.type.missing is not None:
            there = c("{v} != {m}", v=operand.value, m=c_int(field.type.missing))
            operand = replace(operand, exists=there)
        if isinstance(operand, CText) and field.name in self.grams:
            operand = replace(operand, holds=c("{name}_holds", name=c_ident(field.name)))
        if self.rough and isinstance(operand, CText) and operand.end is not None:
            return replace(operand, exists=None, cut=None, rough=True)
        return operand

    def bit(self, test: Test) -> int | None:
        """Return the comparison's place in the masks of its field's trie."""
        trie = self.tries.get(test.field.name)
        return trie.bit(test) if trie else None

    def found(self, field: str, bits: int) -> list[C]:
        """Return tests of the masks' words, of which the longest entry has been found."""
        words = range(self.tries[field].words)
        masks = {word: bits >> 64 * word & 0xFFFFFFFFFFFFFFFF for word in words}
        name = c_ident(field)
        return [
            c("FOUND({f}, {w}, {m})", f=name, w=word, m=c_int(mask))
            for word, mask in masks.items()
            if mask
        ]


def text_of(slot: Slot) -> C:
    """Return the name of the C variable that points to a variable slot's bytes."""
    return c("{name}_text", name=c_ident(slot.name))


def end_of(slot: Slot) -> C:
    """Return the name of the C variable that points behind a variable slot's bytes."""
    return c("{name}_end", name=c_ident(slot.name))


def _member(slot: Slot) -> C:
    return c("r->{name}", name=c_ident(slot.name))


def _number(slot: Slot, _before: int) -> CNumber:
    return CNumber(_as_signed(_member(slot), slot.storage.c_type))


def _as_signed(value: C, c_type: str) -> C:
    """Widen to s64, in which all narrower types compare as numbers do."""
    return value if c_type in ("u64", "s64") else c("(s64){value}", value=value)


def _text(slot: Slot, before: int) -> CText:
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
        end=end_of(slot),
        before=before,
    )


_BUILDERS: dict[Kind, Callable[[Slot, int], COperand]] = {
    Kind.NUMBER: _number,
    Kind.FLAGS: _number,
    Kind.TEXT: _text,
}


_WHY_NOT = {
    Kind.TEXTS: "a search through a list of texts is more than the kernel's verifier follows"
}


def _part(field: Field, whole: Slot) -> COperand | Refusal:
    """Return a part's operand: the C functions of its name are given the whole."""
    assert isinstance(field.origin, PartOf)
    stem = field.origin.part.c_name
    if stem is None:
        return Refusal(f"{field.name} is taken out of {whole.name} in Python")
    name, member = c_ident(stem), _member(whole)
    words = [member]
    if whole.storage.variable:
        words = [text_of(whole), c("LENGTH({member})", member=member)]
    given = join(", ", [*words, *map(c_int, field.origin.part.given)], C)
    there = c("{name}_exists({given})", name=name, given=given)
    if whole.storage.variable:
        there = c("({member} != UNREADABLE && {there})", member=member, there=there)
    if field.kind is Kind.ADDRESS:
        high, low = (c("{n}_{h}({g})", n=name, h=C(half), g=given) for half in ("high", "low"))
        return CAddress(high, low, there)
    value = c("{name}({given})", name=name, given=given)
    return CNumber(_as_signed(value, field.type.storage.c_type), there)
