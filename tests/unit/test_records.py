"""Records in a window of the ring are found, and put in the order of their time."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from etracee.records import BUSY, DISCARDED, HEADER, Window, sort_by_time

RECORDS = st.lists(
    st.tuples(
        st.integers(1, 9), st.binary(max_size=20), st.sampled_from([0] * 6 + [DISCARDED, BUSY])
    ),
    max_size=12,
)
"""Times, what follows those, and the bits of headers."""


def pack(records: Sequence[tuple[int, bytes, int]]) -> Iterator[bytes]:
    for time, rest, bits in records:
        record = struct.pack("<Q", time) + rest
        yield struct.pack("<II", len(record) | bits, 0) + record + bytes(-len(record) % 8)


def read(window: Window) -> Iterator[tuple[int, bytes]]:
    """Yield times, and what follows them."""
    at = window.at
    while at < window.end:
        (length,) = struct.unpack_from("<I", window.data, at)
        if length < DISCARDED:
            (time,) = struct.unpack_from("<Q", window.data, at + HEADER)
            yield time, window.data[at + HEADER + 8 : at + HEADER + length]
        at += HEADER + (length & ~DISCARDED) + 7 & ~7
    assert at == window.end


@given(RECORDS)
def test_records_before_an_unfinished_one_are_put_in_order(
    records: list[tuple[int, bytes, int]],
) -> None:
    before = bytes(16)
    packed = [*pack(records)]
    finished = next((n for n, record in enumerate(records) if record[2] == BUSY), len(records))
    data = before + b"".join(packed)
    sorted_, end = sort_by_time(Window(data, len(before), len(data)))
    assert end == len(before) + sum(map(len, packed[:finished]))
    kept = [(time, rest) for time, rest, bits in records[:finished] if not bits]
    assert [*read(sorted_)] == sorted(kept, key=lambda record: record[0])
