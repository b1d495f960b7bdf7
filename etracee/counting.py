"""What the kernel has counted: from the bytes of its keys to what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

import msgspec

from etracee.event import KEY_HEAD, MISSING, NEGATIVE, Bucket, Count, Histogram, nest
from etracee.types.text import replace_bytes

Value = tuple[str, Callable[[Any], Any], Callable[[Any], object] | None]
"""A field that is counted by: its name, what makes its value of the key's, what prints that."""


def text(raw: bytes) -> bytes:
    """Return the text in an array, without the NULs behind it."""
    return raw.partition(b"\0")[0]


def number(raw: int) -> int:
    """Return a number, which lies in the key as it is."""
    return raw


def truth(raw: int) -> bool:
    """Return an answer."""
    return bool(raw)


def address(raw: bytes) -> int:
    """Return the 128-bit number of an address, of which the high half lies first."""
    return int.from_bytes(raw[:8], "little") << 64 | int.from_bytes(raw[8:], "little")


@dataclass(frozen=True)
class Key:
    """The values that so many events had, in the order of the fields; None is a missing one."""

    event: int
    values: tuple[Any, ...]
    cut: tuple[str, ...]


@dataclass
class Tally:
    """How often a key was met, and in which buckets."""

    total: int = 0
    buckets: Counter[int] = field(default_factory=Counter)


class Keys:
    """How the keys of one event are read and told.

    `code` is of the struct module, `order` says which of its members each of `values` is, and
    `histogram` names the field that the buckets are of.
    """

    def __init__(
        self,
        event: str,
        code: str,
        order: Sequence[int],
        values: Sequence[Value],
        histogram: str | None,
    ) -> None:
        self.event = event
        self._struct = Struct(code)
        self._order, self._values, self._histogram = order, values, histogram

    def read(self, raw: bytes) -> tuple[Key, int]:
        """Return what the bytes of a key say, and the bucket."""
        event, _, missing, cut, bucket = KEY_HEAD.unpack_from(raw)
        members = self._struct.unpack_from(raw)
        values = tuple(
            None if missing >> index & 1 else read(members[at])
            for index, (at, (_, read, _)) in enumerate(zip(self._order, self._values, strict=True))
        )
        names = (name for index, (name, _, _) in enumerate(self._values) if cut >> index & 1)
        return Key(event, values, tuple(names) if cut else ()), bucket

    def tell(self, key: Key, tally: Tally, start: str, end: str) -> Count:
        """Return the line of a key: `start` and `end` are times, as of a Count."""
        raw: dict[str, object] = {}
        shown = {
            name: _show(name, value, show, raw)
            for (name, _, show), value in zip(self._values, key.values, strict=True)
        }
        return Count(
            event=self.event,
            key=nest(shown),
            count=tally.total,
            start=start,
            end=end,
            histogram=self._spread(tally.buckets) if self._histogram else msgspec.UNSET,
            truncated=key.cut or msgspec.UNSET,
            raw=raw or msgspec.UNSET,
        )

    def _spread(self, buckets: Counter[int]) -> Histogram:
        assert self._histogram is not None
        known = sorted(bucket for bucket in buckets if bucket != MISSING)
        found = tuple(Bucket(*_bounds(bucket), buckets[bucket]) for bucket in known)
        return Histogram(self._histogram, found, buckets[MISSING])


def tell_counts(
    keys: Sequence[Keys | None], counted: Mapping[bytes, int], start: str, end: str
) -> list[Count]:
    """Return the lines of what was counted, event by event, the greatest count first.

    `keys` are by the index of the event. Keys that differ by what is not shown, such as bytes
    behind a text, are one.
    """
    tallies: dict[Key, Tally] = {}
    for raw, number_of in counted.items():
        of_event = keys[KEY_HEAD.unpack_from(raw)[0]]
        assert of_event is not None, "only events with keys are counted"
        key, bucket = of_event.read(raw)
        tally = tallies.setdefault(key, Tally())
        tally.total += number_of
        tally.buckets[bucket] += number_of
    order = sorted(tallies, key=lambda key: (key.event, -tallies[key].total, repr(key.values)))
    return [_of(keys, key).tell(key, tallies[key], start, end) for key in order]


def _of(keys: Sequence[Keys | None], key: Key) -> Keys:
    found = keys[key.event]
    assert found is not None, "only events with keys are counted"
    return found


def _show(
    name: str, value: Any, show: Callable[[Any], object] | None, raw: dict[str, object]
) -> object:
    """Return a value as events show it; the bytes of a text that is not UTF-8 go to `raw`."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            shown, raw[name] = replace_bytes(value)
            return shown
    return value if value is None or show is None else show(value)


def _bounds(bucket: int) -> tuple[int | None, int]:
    if bucket == NEGATIVE:
        return None, 0
    return (1 << bucket - 1, 1 << bucket) if bucket else (0, 1)
