"""Render the functions that write an event's line of JSON without making an event of it.

A line is text of ours, numbers, and pieces that are remembered by their raw values: who made the
call, its flags, the name of a file. What is rare (cut values, bytes that are no UTF-8, 32-bit
calls, rules that fire) is left to the function that makes an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from etracee.catalog import Field
from etracee.catalog.model import LookUp, PartOf
from etracee.event import NATIVE, Slot
from etracee.expr.tree import YES
from etracee.fragments import Py, join, py, py_format, py_literal, py_variable
from etracee.render.decoded import NOTHING, TEXTUAL, Decoded, Named, unpacked_name
from etracee.types import Kind

_CONTEXT, _CALLER = Py("context"), Py("caller")
"""What of the context has no variable length: its raw bytes, and its pieces."""
_TEXTS = Py("TEXTS")
"""The pieces that are one text, of whatever field."""
Part = tuple[str, Py | None]
"""Text, and the variable whose value follows it."""


@dataclass(frozen=True)
class Piece:
    """How a piece is `made` of the raw values `given` of some slots."""

    given: Py
    values: tuple[Named, ...]
    made: Py


@dataclass(frozen=True)
class LinesView:
    """What the template needs to write lines of one event.

    `is_odd` and `is_lacking` say, before and after the pieces are found, that no line can be made
    here. `split` takes the pieces of the context apart.
    """

    code: Py
    unpacked: Py
    variable: tuple[Py, ...]
    found: tuple[Named, ...]
    is_judged: bool
    is_odd: Py
    is_lacking: Py
    split: Py
    shown: tuple[Named, ...]
    text: Py


def view_lines(decoded: Decoded, pieces: dict[Piece, Py]) -> LinesView | None:
    """Return the view, None where lines need events; new kinds of pieces are added to `pieces`."""
    event = decoded.event
    is_looked_up = any(isinstance(field.origin, LookUp) for field in event.shown)
    if not event.delivered or event.feeds or is_looked_up:
        return None
    return _Writer(decoded, pieces).view()


@dataclass(frozen=True)
class _Key:
    """A key of the line, and the slots that its value is made of."""

    name: str
    fields: tuple[Field, ...]
    slots: tuple[Slot, ...]

    @property
    def is_fixed(self) -> bool:
        return not any(slot.storage.variable for slot in self.slots)

    @property
    def only(self) -> Field | None:
        """Return the field that stands under the key by itself, if there is one."""
        is_one = len(self.fields) == 1 and self.fields[0].name == self.name
        return self.fields[0] if is_one and len(self.slots) == 1 else None


class _Writer:
    """Puts the line together: key by key, neighbours of one kind in one piece."""

    def __init__(self, decoded: Decoded, pieces: dict[Piece, Py]) -> None:
        self.decoded, self.event, self.pieces = decoded, decoded.event, pieces
        names = decoded.plan.catalog.context
        slots = sorted(self.event.layout.slots, key=lambda slot: slot.offset)
        block = [slot for slot in slots if slot.name in names and not slot.storage.variable]
        self.block, self.others = block, [slot for slot in slots if slot not in block]
        self.found: list[Named] = []
        self.lacking: list[Py] = []
        self.shown: list[Named] = []
        self.context: list[list[_Key]] = []
        self.parts: list[Part] = []

    def view(self) -> LinesView:
        self.write()
        matches = self.event.matches
        is_judged = self.event.keep != YES or any(match.bit is None for match in matches)
        names = [py("context_{n}", n=number) for number in range(len(self.context))]
        return LinesView(
            code=py_literal(self.code()),
            unpacked=join(", ", list(self.unpacked()), Py),
            variable=tuple(py_variable(slot.name) for slot in self.event.layout.variable),
            found=tuple(self.found),
            is_judged=is_judged,
            is_odd=join(" or ", list(self.odd(is_judged=is_judged)), Py),
            is_lacking=join(" or ", self.lacking, Py),
            split=py("{names}, = caller", names=join(", ", names, Py)) if names else NOTHING,
            shown=tuple(self.shown),
            text=py_format(self.parts),
        )

    def odd(self, *, is_judged: bool) -> Iterator[Py]:
        if self.event.is_abi_told:
            yield py("abi_number != {native}", native=NATIVE)
        marks = sum(1 << match.bit for match in self.event.matches if match.bit is not None)
        if marks and not is_judged:
            yield py("bits & {marks}", marks=marks)

    def code(self) -> str:
        """Return the format of the fixed part, in which the context is one value."""
        code, at = "<", 0
        for slot in self.unpacked_slots():
            code += "x" * (slot.offset - at)
            if slot in self.block:
                code, at = f"{code}{self.block_size}s", slot.offset + self.block_size
            else:
                code, at = code + slot.storage.code, slot.offset + slot.size
        return code

    def unpacked(self) -> Iterator[Py]:
        for slot in self.unpacked_slots():
            yield self.unpacked_as(slot)

    def unpacked_as(self, slot: Slot) -> Py:
        return _CONTEXT if slot in self.block else unpacked_name(slot)

    def unpacked_slots(self) -> list[Slot]:
        return sorted((*self.others, *self.block[:1]), key=lambda slot: slot.offset)

    @property
    def block_size(self) -> int:
        return self.block[-1].offset + self.block[-1].size - self.block[0].offset

    def write(self) -> None:
        before = "{"
        for run in self.runs():
            first, *others = self.write_run(run)
            self.parts += [(before + first[0], first[1]), *others]
            before = ","
        self.parts.append(("}\n", None))
        if self.context:
            self.find_context()

    def runs(self) -> Iterator[list[_Key]]:
        """Yield neighbouring keys that share a piece."""
        run: list[_Key] = []
        for key in self.keys():
            if run and not self.share(run[-1], key):
                yield run
                run = []
            run.append(key)
        yield run

    def keys(self) -> Iterator[_Key]:
        slots = {slot.name: slot for slot in self.event.layout.slots}
        for name, fields in self.decoded.keys().items():
            inputs = self.decoded.with_inputs(fields)
            used = {slots[field.name] for field in inputs if field.name in slots}
            yield _Key(name, tuple(fields), tuple(sorted(used, key=lambda slot: slot.offset)))

    def share(self, one: _Key, other: _Key) -> bool:
        if self.is_context(one) or self.is_context(other):
            return self.is_context(one) and self.is_context(other)
        if any(self.is_plain(key) or not key.slots for key in (one, other)):
            return False
        return one.slots == other.slots or (one.is_fixed and other.is_fixed)

    def is_context(self, key: _Key) -> bool:
        return bool(key.slots) and all(slot in self.block for slot in key.slots)

    def is_plain(self, key: _Key) -> bool:
        """Say whether the value is a number or a text, printed as the record has it."""
        field = key.only
        if field is None or field in self.decoded.implied or isinstance(field.origin, PartOf):
            return False
        is_number = field.kind is Kind.NUMBER and field.type.shower() in (None, Py("hex"))
        is_text = field.kind is Kind.TEXT and not key.is_fixed
        raw = py_variable(field.name)
        is_raw = field.type.decode(raw) == raw or (is_number and field.type.missing is not None)
        return is_raw and (is_number or is_text)

    def write_run(self, run: Sequence[_Key]) -> Iterator[Part]:
        key = run[0]
        if not key.slots:
            yield from self.write_own(key)
        elif self.is_context(key):
            yield "", py("context_{n}", n=len(self.context))
            self.context.append(list(run))
        elif self.is_plain(key):
            yield from self.write_plain(key)
        else:
            yield "", self.find_piece(run)

    def write_own(self, key: _Key) -> Iterator[Part]:
        """Write what no slot tells: the time, words of ours, what is always missing."""
        variable = _TIMES.get(key.name)
        if variable is not None:
            yield f'"{key.name}":"', variable
            yield '"', None
            return
        words = {"syscall_id": self.event.type.number, "type": self.event.name}
        yield _members({key.name: words.get(key.name)}), None

    def write_plain(self, key: _Key) -> Iterator[Part]:
        field, (slot,) = key.only, key.slots
        assert field is not None
        value = py_variable(field.name)
        if slot.storage.variable:
            name = self.add_found(py("{texts}[{value}]", texts=_TEXTS, value=value))
            self.lacking.append(py("{name} is None", name=name))
        elif field.type.missing is None and field.type.shower() is None:
            name = value
        else:
            name = py("shown_{value}", value=value)
            self.shown.append(Named(name, _number(field, value)))
        yield f'"{key.name}":', name

    def find_piece(self, run: Sequence[_Key]) -> Py:
        slots = dict.fromkeys(slot for key in run for slot in key.slots)
        names = dict.fromkeys(self.unpacked_as(slot) for slot in slots)
        given = join(", ", list(names), Py)
        piece = self.add_piece(given, [run], self.members(run))
        name = self.add_found(py("{piece}[{given}]", piece=piece, given=given))
        if any(field.kind in TEXTUAL for key in run for field in key.fields):
            self.lacking.append(py("{name} is None", name=name))
        return name

    def find_context(self) -> None:
        made = join(", ", [self.members(run) for run in self.context], Py)
        piece = self.add_piece(_CONTEXT, self.context, py("({made},)", made=made))
        self.found.append(Named(_CALLER, py("{piece}[context]", piece=piece)))
        if any(f.kind in TEXTUAL for run in self.context for key in run for f in key.fields):
            self.lacking.append(py("{name} is None", name=_CALLER))

    def block_code(self) -> str:
        code, at = "<", self.block[0].offset
        for slot in self.block:
            code += "x" * (slot.offset - at) + slot.storage.code
            at = slot.offset + slot.size
        return code

    def add_found(self, source: Py) -> Py:
        name = py("piece_{n}", n=len(self.found))
        self.found.append(Named(name, source))
        return name

    def add_piece(self, given: Py, runs: Sequence[Sequence[_Key]], made: Py) -> Py:
        """Return the name of the pieces that are `made` of raw values for these keys."""
        fields = [field for run in runs for key in run for field in key.fields]
        piece = Piece(given, tuple(self.piece_values(fields)), made)
        return self.pieces.setdefault(piece, py("PIECES_{n}", n=len(self.pieces)))

    def members(self, run: Sequence[_Key]) -> Py:
        sources = self.decoded.sources(field for key in run for field in key.fields)
        pairs = [py("{k}: {v}", k=py_literal(key), v=source) for key, source in sources.items()]
        return py("encode_members({{{pairs}}})", pairs=join(", ", pairs, Py))

    def piece_values(self, fields: Iterable[Field]) -> Iterator[Named]:
        inputs = self.decoded.with_inputs(fields)
        if any(slot.name == field.name for slot in self.block for field in inputs):
            names = join(", ", [unpacked_name(slot) for slot in self.block], Py)
            code = py_literal(self.block_code())
            yield Named(py("{n},", n=names), py("Struct({c}).unpack(context)", c=code))
        for field in inputs:
            name = py_variable(field.name)
            if field in self.event.captures and field.type.storage.variable:
                decoded = field.type.decode(name)
                if decoded != name:
                    yield Named(name, py("None if {n} is None else {d}", n=name, d=decoded))
        yield from self.decoded.values(inputs)
        yield from self.decoded.implied_values(inputs)
        for text in self.decoded.texts(fields):
            shown = py("shown_{name}", name=text.name)
            source = py("None if {n} is None else {d}", n=text.name, d=text.decoded)
            yield Named(shown, source)


_TIMES = {"timestamp": Py("wall"), "human_time": Py("human")}


def _members(values: dict[str, object]) -> str:
    return msgspec.json.encode(values)[1:-1].decode()


def _number(field: Field, value: Py) -> Py:
    """Return the source of the JSON of a number that may be missing, or is hexadecimal."""
    shown = py("'\"%#x\"' % {v}", v=value) if field.type.shower() else value
    missing = field.type.missing
    if missing is None:
        return shown
    return py('"null" if {v} == {missing} else {shown}', v=value, missing=missing, shown=shown)
