"""A terminal: lines run through it, and below them stands a table of what was counted."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence

import msgspec

from etracee.event import Bucket, Count, Histogram, Item
from etracee.sinks.base import DescriptorSink, SinkClosedError
from etracee.sinks.table import rows, truncated_of
from etracee.sinks.text import line_of

_MOST = 10_000
"""Keys whose totals are kept; what is counted under others is told as one number."""
_CLEAR = "\x1b[{}A\x1b[J"
"""Go up so many lines, and clear what stands below: CUU and ED of ECMA-48."""
_ONE_LINE_EACH = "\x1b[?7l{}\x1b[?7h"
"""Lines that the terminal does not wrap: DECAWM."""
_WHOLE = "; a file has all of them: -o FILE, or a pipe"

_Key = tuple[str, str, tuple[str, ...]]


class TerminalSink(DescriptorSink):
    """Writes events, alerts and losses as lines; counts are added up in a table, redrawn."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._totals: dict[_Key, Count] = {}
        self._new: Counter[_Key] = Counter()
        self._others = 0
        self._height, self._room = 0, 0

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines, between the clearing of the old table and the new one."""
        counts = [item for item in items if isinstance(item, Count)]
        lines = [line_of(item) for item in items if not isinstance(item, Count)]
        if counts:
            self._add(counts)
        self._room = (os.get_terminal_size(self._descriptor).lines or 24) - 2
        return self._draw(lines)

    def close(self) -> None:
        """Draw the table of all that was counted, as far as the terminal shows it at once."""
        with contextlib.suppress(SinkClosedError):
            self.write_all(self._draw([], is_last=True))

    def _add(self, counts: Sequence[Count]) -> None:
        self._new.clear()
        for count in counts:
            key = (count.event, repr((count.key, count.raw)), truncated_of(count))
            if key in self._totals or len(self._totals) < _MOST:
                self._new[key] += count.count
                self._totals[key] = _sum(self._totals.get(key), count)
            else:
                self._others += count.count

    def _draw(self, lines: Sequence[str], *, is_last: bool = False) -> bytes:
        """Return what replaces the old table by `lines` and one that fits into the terminal."""
        new = {} if is_last else {"NEW": [self._new[key] for key in self._totals]}
        others = [f"and {self._others} under other keys"] if self._others else []
        table = [*rows(self._totals.values(), new), *others]
        if len(table) > self._room:
            left_out = len(table) - self._room + 1
            advice = _WHOLE if is_last else ""
            table = [*table[: self._room - 1], f"… {left_out} more lines{advice}"]
        clear = _CLEAR.format(self._height) if self._height else ""
        self._height = len(table)
        text = "".join(f"{line}\n" for line in table)
        shown = text if is_last or not table else _ONE_LINE_EACH.format(text)
        return (clear + "".join(f"{line}\n" for line in lines) + shown).encode("utf-8", "replace")


def _sum(total: Count | None, count: Count) -> Count:
    if total is None:
        return count
    summed = msgspec.structs.replace(count, count=total.count + count.count, start=total.start)
    if not isinstance(total.histogram, Histogram) or not isinstance(count.histogram, Histogram):
        return summed
    return msgspec.structs.replace(summed, histogram=_joined(total.histogram, count.histogram))


def _joined(one: Histogram, other: Histogram) -> Histogram:
    numbers: Counter[tuple[int, int | None]] = Counter()
    for bucket in (*one.buckets, *other.buckets):
        numbers[bucket.below, bucket.at_least] += bucket.count
    buckets = tuple(Bucket(least, below, numbers[below, least]) for below, least in sorted(numbers))
    return Histogram(one.field, buckets, one.missing + other.missing)
