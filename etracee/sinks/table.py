"""Counts as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from etracee.event import Bucket, Count
from etracee.problems import printable
from etracee.sinks.words import result_of, word_of

_Item = TypeVar("_Item")
_Key = TypeVar("_Key")

_BAR = 40
"""Characters of the longest bar of a histogram."""


def tables(counts: Iterable[Count]) -> list[str]:
    """Return what was counted between two times: a line with these, then the tables."""
    lines: list[str] = []
    for (start, end), group in _grouped(counts, lambda count: (count.start, count.end)).items():
        lines += [f"{_time(start)} to {_time(end)}", *rows(group), ""]
    return lines


def rows(counts: Iterable[Count], more: Mapping[str, Sequence[int]] | None = None) -> list[str]:
    """Return a table for each set of fields that was counted by, the greatest counts first.

    `more` are columns between the count and the event: a number for each of `counts`.
    """
    numbered = list(enumerate(counts))
    lines: list[str] = []
    for names, group in _grouped(numbered, lambda pair: tuple(flat_key(pair[1]))).items():
        group.sort(key=lambda pair: -pair[1].count)
        heads = ["COUNT", *(more or ()), "EVENT", *(name.upper() for name in names)]
        cells = [
            [
                str(count.count),
                *(str(column[index]) for column in (more or {}).values()),
                count.event,
                *(_cell(name, count) for name in names),
            ]
            for index, count in group
        ]
        lines += _aligned(heads, cells, [list(_bars(count)) for _, count in group])
    return lines


def flat_key(count: Count) -> dict[str, object]:
    """Return the values of the key by the whole names of their fields."""
    return dict(_flat(count.key, ""))


def _flat(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def truncated_of(count: Count) -> tuple[str, ...]:
    """Return the fields of the key that were cut."""
    return () if isinstance(count.truncated, msgspec.UnsetType) else count.truncated


def spread_of(count: Count) -> Iterator[tuple[str, int]]:
    """Yield the ranges of the histogram and how many are in each; none where there is none."""
    if isinstance(count.histogram, msgspec.UnsetType):
        return
    field = count.histogram.field
    for bucket in count.histogram.buckets:
        yield f"{field} {_range(bucket)}", bucket.count
    if count.histogram.missing:
        yield f"{field} missing", count.histogram.missing


def _grouped(items: Iterable[_Item], key: Callable[[_Item], _Key]) -> dict[_Key, list[_Item]]:
    groups: dict[_Key, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _time(nanoseconds: str) -> str:
    return datetime.fromtimestamp(int(nanoseconds) / 1e9).isoformat(" ", "milliseconds")


def _cell(name: str, count: Count) -> str:
    value = flat_key(count)[name]
    if name == "ret" and isinstance(value, int):
        return result_of(value)
    mark = "…" if name in truncated_of(count) else ""
    return ('"-"' if value == "-" else word_of(value)) + mark


def _aligned(heads: list[str], cells: list[list[str]], bars: list[list[str]]) -> Iterator[str]:
    """Yield lines in columns, the counts to the right; below each row, its bars."""
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    first = heads.index("EVENT")

    def line(row: list[str]) -> str:
        numbers = map(str.rjust, row[:first], widths)
        words = map(str.ljust, row[first:], widths[first:])
        return "  ".join((*numbers, *words)).rstrip()

    yield line(heads)
    for row, below in zip(cells, bars, strict=True):
        yield line(row)
        yield from below


def _bars(count: Count) -> Iterator[str]:
    spread = list(spread_of(count))
    most = max((number for _, number in spread), default=0)
    width = max((len(range_) for range_, _ in spread), default=0)
    for range_, number in spread:
        bar = "#" * max(1, number * _BAR // most)
        yield f"        {printable(range_).ljust(width)}  {number:>10}  {bar}"


def _range(bucket: Bucket) -> str:
    first, last = bucket.at_least, bucket.below - 1
    if first is None:
        return f"below {bucket.below}"
    return f"{first}" if first == last else f"{first}..{last}"
