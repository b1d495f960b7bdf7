"""What is counted: how C puts a key together, and how Python reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from etracee.catalog.model import Derivation
from etracee.event import MISSING, Slot
from etracee.expr.cform import c_source
from etracee.expr.evaluate import PythonForm
from etracee.expr.tree import YES, Test, leaves
from etracee.fragments import C, Py, c, c_ident, c_int, join, py, py_literal
from etracee.operators.base import CAddress, CFunction, CNumber, COperand, CText, Refusal
from etracee.plan import EventPlan
from etracee.plan.keys import LONGEST_KEY
from etracee.plan.model import CountPlan, KeyPart
from etracee.plan.values import RecordOperands
from etracee.render.filters import ones, view_texts
from etracee.render.views import CountView, KeyPartView, view_slot
from etracee.types import Kind


def key_bytes(event: EventPlan) -> int:
    """Return the bytes of an event's key, 0 where it is not counted."""
    return event.counting.layout.size if event.counting else 0


def key_room(event: EventPlan) -> int:
    """Return the bytes that a key may reach for, behind the record that it is made of.

    All keys are of the size of the longest. To the verifier, a text may be as long as its mask.
    """
    return 2 * LONGEST_KEY if event.counting else 0


def view_count(event: EventPlan, offset: int, functions: dict[C, CFunction]) -> CountView | None:
    """Return how an event's key is put together; functions that are called are added.

    `offset` are the bytes from the record to the key.
    """
    if event.counting is None:
        return None
    builder = _KeyBuilder(event, event.counting, functions)
    read = [part.field for part in event.counting.parts]
    read += [test.field for part in event.counting.parts for test in _tests(part)]
    return CountView(
        slots=tuple(view_slot(slot) for slot in event.counting.layout.slots),
        offset=offset,
        texts=tuple(view_texts(event, read)),
        parts=tuple(builder.parts()),
    )


class _KeyBuilder:
    def __init__(self, event: EventPlan, count: CountPlan, functions: dict[C, CFunction]) -> None:
        self.event, self.count, self.functions = event, count, functions
        self.operands = RecordOperands(event.layout, {}, {})

    def parts(self) -> Iterator[KeyPartView]:
        for index, part in enumerate(self.count.by):
            slot, bit = self.count.layout.slot(part.field.name), c_int(1 << index)
            if isinstance(part.field.origin, Derivation):
                yield self.derived(part, slot, bit)
                continue
            operand = self.operand(part)
            build = _PARTS[type(operand)]
            yield build(
                operand,
                slot,
                name=c_ident(slot.name),
                exists=self.exists(part, operand),
                missing=c("key->head.missing |= {bit};", bit=bit),
                bit=bit,
            )
        if self.count.histogram is not None:
            yield self.bucket(self.count.histogram)

    def derived(self, part: KeyPart, slot: Slot, bit: C) -> KeyPartView:
        return KeyPartView(
            template="key/number.c.j2",
            name=c_ident(slot.name),
            value=self.source(part),
            exists=C(""),
            missing=C(""),
            bit=bit,
        )

    def bucket(self, part: KeyPart) -> KeyPartView:
        operand = self.operand(part)
        assert isinstance(operand, CNumber), "a histogram is of a number"
        is_unsigned = part.field.type.storage.c_type == "u64"
        bucket = C("bucket_of" if is_unsigned else "signed_bucket_of")
        return KeyPartView(
            template="key/bucket.c.j2",
            name=C("bucket"),
            value=c("{bucket}({value})", bucket=bucket, value=operand.value),
            exists=self.exists(part, operand),
            missing=c("key->head.bucket = {missing};", missing=MISSING),
        )

    def operand(self, part: KeyPart) -> COperand:
        operand = self.operands.of(part.field)
        assert not isinstance(operand, Refusal), "only what has a place in C is counted by"
        return operand

    def exists(self, part: KeyPart, operand: COperand) -> C:
        tests = [operand.exists] if operand.exists else []
        if part.implied != YES:
            tests.append(self.source(part))
        return c("({tests})", tests=join(" && ", tests, C)) if tests else C("")

    def source(self, part: KeyPart) -> C:
        form = c_source(part.implied, self.operands)
        self.functions |= {function.name: function for function in form.functions}
        return form.expression


def _number(operand: CNumber, _slot: Slot, **common: Any) -> KeyPartView:
    return KeyPartView(template="key/number.c.j2", value=operand.value, **common)


def _address(operand: CAddress, _slot: Slot, **common: Any) -> KeyPartView:
    return KeyPartView(template="key/address.c.j2", value=operand.high, low=operand.low, **common)


def _text(operand: CText, slot: Slot, **common: Any) -> KeyPartView:
    if operand.terminated:
        words = tuple(range(0, slot.size, 8))
        return KeyPartView(template="key/array.c.j2", value=operand.pointer, words=words, **common)
    return KeyPartView(
        template="key/text.c.j2",
        value=operand.pointer,
        room=slot.size,
        mask=ones(slot.size),
        **common,
    )


_PARTS: dict[type, Callable[..., KeyPartView]] = {
    CNumber: _number,
    CAddress: _address,
    CText: _text,
}


def key_source(event: EventPlan, form: PythonForm) -> Py:
    """Return the source of what reads the keys of an event, None where it is not counted."""
    if event.counting is None:
        return Py("None")
    count = event.counting
    values = [_value_source(part, form) for part in count.by]
    return py(
        "counting.Keys({event}, {code}, {order}, ({values}), {histogram})",
        event=py_literal(event.name),
        code=py_literal(count.layout.code),
        order=py_literal(_order_of(count)),
        values=join("", [py("{value}, ", value=value) for value in values], Py),
        histogram=py_literal(count.histogram.field.name if count.histogram else None),
    )


def _order_of(count: CountPlan) -> tuple[int, ...]:
    """Return, for each value that is counted by, its number among the key's members."""
    slots = sorted(count.layout.slots, key=lambda slot: slot.offset)
    names = [slot.name for slot in slots]
    return tuple(names.index(part.field.name) for part in count.by)


def _value_source(part: KeyPart, form: PythonForm) -> Py:
    """Return the source of what a value is called, how it is read, and how it is shown."""
    shower = part.field.type.shower()
    return py(
        "({name}, counting.{read}, {show})",
        name=py_literal(part.field.name),
        read=_READERS.get(part.field.kind, Py("number")),
        show=Py("None") if shower is None else form.hoist(shower),
    )


_READERS = {
    Kind.TEXT: Py("text"),
    Kind.ADDRESS: Py("address"),
    Kind.TRUTH: Py("truth"),
}


def _tests(part: KeyPart) -> list[Test]:
    return [leaf for leaf in leaves(part.implied) if isinstance(leaf, Test)]
