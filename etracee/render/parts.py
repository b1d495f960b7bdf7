"""What a line of JSON is put together from: texts, what stands between them, raw bytes of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from etracee.event import Slot
from etracee.fragments import Py, join, py, py_literal
from etracee.render.decoded import Named, unpacked_name


@dataclass(frozen=True)
class Block:
    """Slots that lie together, read as one value: their raw bytes, with those between them.

    That is the variable `name`, and `inner` in pieces, which several events share.
    """

    name: Py
    inner: Py
    slots: tuple[Slot, ...]

    @property
    def size(self) -> int:
        return self.slots[-1].offset + self.slots[-1].size - self.slots[0].offset

    @property
    def values(self) -> Named:
        """Return what takes the bytes apart, in a piece."""
        code, at = "<", self.slots[0].offset
        for slot in self.slots:
            code += "x" * (slot.offset - at) + slot.storage.code
            at = slot.offset + slot.size
        names = join(", ", [unpacked_name(slot) for slot in self.slots], Py)
        source = py("Struct({c}).unpack({block})", c=py_literal(code), block=self.inner)
        return Named(py("{n},", n=names), source)


@dataclass(frozen=True)
class Insert:
    """What stands in a line between texts: `write` returns its variable.

    It is given the text before and behind it where it `absorbs` those, else nothing.
    """

    write: Callable[[str, str], Py]
    absorbs: bool = False


def lie_together(slots: Sequence[Slot]) -> bool:
    """Say whether there are several slots, in their order in the record, and nothing between."""
    ends = [slot.offset + slot.size for slot in slots[:-1]]
    return bool(ends) and ends == [slot.offset for slot in slots[1:]]


def put_together(parts: Sequence[str | Insert]) -> Iterator[tuple[str, Py | None]]:
    """Yield texts with the variables behind them; what absorbs takes the texts beside it."""
    inserts = [part for part in parts if isinstance(part, Insert)]
    texts = _texts_between(parts)
    for number, insert in enumerate(inserts):
        if insert.absorbs:
            before, behind = texts[number : number + 2]
            texts[number : number + 2] = "", ""
        else:
            before = behind = ""
        yield texts[number], insert.write(before, behind)
    yield texts[-1], None


def _texts_between(parts: Iterable[str | Insert]) -> list[str]:
    """Return the texts before, between and behind what is inserted."""
    texts = [""]
    for part in parts:
        if isinstance(part, Insert):
            texts.append("")
        else:
            texts[-1] += part
    return texts
