"""Render the functions that write an event's line of JSON without making an event of it.

A line is text of ours, numbers, and pieces that are remembered by their raw values: who made the
call, its flags, the name of a file. What is rare (cut values, bytes that are no UTF-8, 32-bit
calls, rules that fire) is left to the function that makes an event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from etracee.catalog import Field
from etracee.catalog.model import LookUp, PartOf
from etracee.event import NATIVE, Slot
from etracee.expr.tree import YES
from etracee.fragments import Py, join, py, py_format, py_literal, py_variable
from etracee.records import HEADER
from etracee.render.decoded import NOTHING, TEXTUAL, Decoded, Named, unpacked_name
from etracee.render.parts import Block, Insert, lie_together, put_together
from etracee.types import Kind

_CONTEXT, _CALLER = Py("context"), Py("caller")
"""What of the context has no variable length: its raw bytes, and its pieces."""
_TEXTS = Py("TEXTS")
"""The pieces that are one text, of whatever field."""


@dataclass(frozen=True)
class Piece:
    """How a piece is `made` of the variable `raw`: the values of some slots, or their block."""

    values: tuple[Named, ...]
    made: Py


@dataclass(frozen=True)
class LinesView:
    """What the template needs to write lines of one event.

    `size` is where the variable part begins, counted from the header. `is_odd` and `is_lacking`
    say, before and after the pieces are found, that no line can be made here. `split` takes the
    pieces of the context apart, `human` is the text with the time of day.
    """

    code: Py
    unpacked: Py
    size: int
    variable: tuple[Py, ...]
    found: tuple[Named, ...]
    is_judged: bool
    is_odd: Py
    is_lacking: Py
    split: Py
    shown: tuple[Named, ...]
    human: Py
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
        self.slots = sorted(self.event.layout.slots, key=lambda slot: slot.offset)
        context = [s for s in self.slots if s.name in names and not s.storage.variable]
        self.in_context = frozenset(context)
        self.blocks = dict.fromkeys(context, Block(_CONTEXT, _CONTEXT, tuple(context)))
        self.found: list[Named] = []
        self.lacking: list[Py] = []
        self.shown: list[Named] = []
        self.context: list[list[_Key]] = []
        self.human = NOTHING

    def view(self) -> LinesView:
        runs = list(self.runs())
        self.find_blocks(runs)
        text = py_format(put_together(list(self.write(runs))))
        if self.context:
            self.find_context()
        matches = self.event.matches
        is_judged = self.event.keep != YES or any(match.bit is None for match in matches)
        names = [py("context_{n}", n=number) for number in range(len(self.context))]
        return LinesView(
            code=py_literal(self.code()),
            unpacked=join(", ", list(self.unpacked()), Py),
            size=HEADER + self.event.layout.size,
            variable=tuple(py_variable(slot.name) for slot in self.event.layout.variable),
            found=tuple(self.found),
            is_judged=is_judged,
            is_odd=join(" or ", list(self.odd(is_judged=is_judged)), Py),
            is_lacking=join(" or ", self.lacking, Py),
            split=py("{names}, = caller", names=join(", ", names, Py)) if names else NOTHING,
            shown=tuple(self.shown),
            human=self.human,
            text=text,
        )

    def odd(self, *, is_judged: bool) -> Iterator[Py]:
        if self.event.is_abi_told:
            yield py("abi_number != {native}", native=NATIVE)
        marks = sum(1 << match.bit for match in self.event.matches if match.bit is not None)
        if marks and not is_judged:
            yield py("bits & {marks}", marks=marks)

    def code(self) -> str:
        """Return the format of header and fixed part, in which each block is one value."""
        code, at = "<Ixxxx", 0
        for slot in self.unpacked_slots():
            block = self.blocks.get(slot)
            size = block.size if block else slot.size
            code += "x" * (slot.offset - at) + (f"{size}s" if block else slot.storage.code)
            at = slot.offset + size
        return code

    def unpacked(self) -> Iterator[Py]:
        yield Py("length")
        for slot in self.unpacked_slots():
            yield self.unpacked_as(slot)

    def unpacked_as(self, slot: Slot) -> Py:
        if slot.name == "event":
            return Py("found")
        return self.blocks[slot].name if slot in self.blocks else unpacked_name(slot)

    def given_as(self, slot: Slot) -> Py:
        return self.blocks[slot].inner if slot in self.blocks else unpacked_name(slot)

    def unpacked_slots(self) -> list[Slot]:
        """Return the slots that are read, of each block the first."""
        blocks = self.blocks
        return [s for s in self.slots if s not in blocks or s is blocks[s].slots[0]]

    def find_blocks(self, runs: Sequence[Sequence[_Key]]) -> None:
        """Let slots be one value that lie together and belong to one piece alone."""
        uses = Counter(slot for run in runs for slot in _slots(run))
        for number, run in enumerate(runs):
            slots = _slots(run)
            is_own = all(uses[slot] == 1 for slot in slots) and not self.is_context(run[0])
            if is_own and lie_together(slots):
                block = Block(py("block_{n}", n=number), Py("block"), slots)
                self.blocks.update(dict.fromkeys(slots, block))

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
        return bool(key.slots) and all(slot in self.in_context for slot in key.slots)

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

    def write(self, runs: Sequence[Sequence[_Key]]) -> Iterator[str | Insert]:
        """Yield the parts of the line."""
        for number, run in enumerate(runs):
            yield "," if number else "{"
            yield from self.write_run(run)
        yield "}\n"

    def write_run(self, run: Sequence[_Key]) -> Iterator[str | Insert]:
        key = run[0]
        if not key.slots:
            yield from self.write_own(key)
        elif self.is_context(key):
            name = py("context_{n}", n=len(self.context))
            self.context.append(list(run))
            yield Insert(lambda *_: name)
        elif self.is_plain(key):
            yield f'"{key.name}":'
            yield Insert(lambda *_: self.find_plain(key))
        else:
            yield Insert(partial(self.find_piece, run), absorbs=True)

    def write_own(self, key: _Key) -> Iterator[str | Insert]:
        """Write what no slot tells: the time, words of ours, what is always missing."""
        times = {
            "timestamp": Insert(lambda *_: Py("wall")),
            "human_time": Insert(self.find_human, absorbs=True),
        }
        if key.name in times:
            yield f'"{key.name}":"'
            yield times[key.name]
            yield '"'
        else:
            words = {"syscall_id": self.event.type.number, "type": self.event.name}
            yield _members({key.name: words.get(key.name)})

    def find_human(self, before: str, behind: str) -> Py:
        """Return the variable of the time of day, which is remembered with the texts beside it."""
        self.human = py_format([(before, Py("human")), (behind, None)])
        return Py("human")

    def find_plain(self, key: _Key) -> Py:
        field, (slot,) = key.only, key.slots
        assert field is not None
        value = py_variable(field.name)
        if slot.storage.variable:
            name = self.add_found(py("{texts}[{value}]", texts=_TEXTS, value=value))
            self.lacking.append(py("{name} is None", name=name))
            return name
        if field.type.missing is None and field.type.shower() is None:
            return value
        name = py("shown_{value}", value=value)
        self.shown.append(Named(name, _number(field, value)))
        return name

    def find_piece(self, run: Sequence[_Key], before: str, behind: str) -> Py:
        parts = (py_literal(before), self.members(run), py_literal(behind))
        piece = self.add_piece([run], join(" + ", list(parts), Py))
        given = _tuple(map(self.unpacked_as, _slots(run)))
        name = self.add_found(py("{piece}[{given}]", piece=piece, given=given))
        if any(field.kind in TEXTUAL for key in run for field in key.fields):
            self.lacking.append(py("{name} is None", name=name))
        return name

    def find_context(self) -> None:
        made = join(", ", [self.members(run) for run in self.context], Py)
        piece = self.add_piece(self.context, py("({made},)", made=made))
        self.found.append(Named(_CALLER, py("{piece}[context]", piece=piece)))
        if any(f.kind in TEXTUAL for run in self.context for key in run for f in key.fields):
            self.lacking.append(py("{name} is None", name=_CALLER))

    def add_found(self, source: Py) -> Py:
        name = py("piece_{n}", n=len(self.found))
        self.found.append(Named(name, source))
        return name

    def add_piece(self, runs: Sequence[Sequence[_Key]], made: Py) -> Py:
        """Return the name of the pieces that are `made` of raw values for these keys."""
        slots = _slots(key for run in runs for key in run)
        blocks = dict.fromkeys(self.blocks[slot] for slot in slots if slot in self.blocks)
        fields = [field for run in runs for key in run for field in key.fields]
        values = (
            Named(_tuple(map(self.given_as, slots)), Py("raw")),
            *(block.values for block in blocks),
            *self.piece_values(fields),
        )
        return self.pieces.setdefault(Piece(values, made), py("PIECES_{n}", n=len(self.pieces)))

    def members(self, run: Sequence[_Key]) -> Py:
        sources = self.decoded.sources(field for key in run for field in key.fields)
        pairs = [py("{k}: {v}", k=py_literal(key), v=source) for key, source in sources.items()]
        return py("encode_members({{{pairs}}})", pairs=join(", ", pairs, Py))

    def piece_values(self, fields: Iterable[Field]) -> Iterator[Named]:
        inputs = self.decoded.with_inputs(fields)
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


def _slots(run: Iterable[_Key]) -> tuple[Slot, ...]:
    """Return the slots that the values of keys are made of, in their order in the record."""
    slots = {slot for key in run for slot in key.slots}
    return tuple(sorted(slots, key=lambda slot: slot.offset))


def _tuple(names: Iterable[Py]) -> Py:
    return join(", ", list(dict.fromkeys(names)), Py)


def _members(values: dict[str, object]) -> str:
    return msgspec.json.encode(values)[1:-1].decode()


def _number(field: Field, value: Py) -> Py:
    """Return the source of the JSON of a number that may be missing, or is hexadecimal."""
    shown = py("'\"%#x\"' % {v}", v=value) if field.type.shower() else value
    missing = field.type.missing
    if missing is None:
        return shown
    return py('"null" if {v} == {missing} else {shown}', v=value, missing=missing, shown=shown)
