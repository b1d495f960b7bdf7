"""What the kernel has counted: keys are read, added up, and told in the order of their counts."""

from __future__ import annotations

import struct
from base64 import b64encode

import msgspec
import pytest

from etracee import counting
from etracee.counting import Keys, tell_counts
from etracee.event import KEY_HEAD, MISSING, NEGATIVE, Count

KEYS = Keys(
    "openat",
    "<16x16s32sqI4x",
    (0, 1, 2, 3),
    (
        ("parent.comm", counting.text, None),
        ("filename", counting.text, None),
        ("ret", counting.number, None),
        ("flags", counting.number, hex),
    ),
    None,
)
SPREAD = Keys("read", "<16xI4x", (0,), (("pid", counting.number, None),), "ret")


def key(
    comm: bytes, filename: bytes, ret: int, flags: int, missing: int = 0, cut: int = 0
) -> bytes:
    return KEY_HEAD.pack(1, 7, missing, cut, 0) + struct.pack(
        "<16s32sqI4x", comm, filename, ret, flags
    )


def spread(bucket: int, pid: int = 4) -> bytes:
    return KEY_HEAD.pack(0, 7, 0, 0, bucket) + struct.pack("<I4x", pid)


def tell(counted: dict[bytes, int]) -> list[Count]:
    return tell_counts((SPREAD, KEYS), counted, "10", "20")


def test_values_are_shown_as_in_events() -> None:
    [count] = tell({key(b"cat", b"/etc/passwd", -2, 0x80): 3})
    assert msgspec.json.decode(msgspec.json.encode(count)) == {
        "type": "count",
        "event": "openat",
        "key": {
            "parent": {"comm": "cat"},
            "filename": "/etc/passwd",
            "ret": -2,
            "flags": "0x80",
        },
        "count": 3,
        "from": "10",
        "to": "20",
    }


def test_missing_and_cut_values_say_so() -> None:
    [count] = tell({key(b"", b"/a", 0, 0, missing=0b1001, cut=0b10): 1})
    assert count.key == {"parent": {"comm": None}, "filename": "/a", "ret": 0, "flags": None}
    assert count.truncated == ("filename",)


def test_hostile_bytes_come_along() -> None:
    [count] = tell({key(b"\xff\n", b"/a", 0, 0): 1})
    assert count.key["parent"] == {"comm": "\ufffd\n"}
    assert count.raw == {"parent.comm": b64encode(b"\xff\n").decode()}


def test_bytes_behind_a_text_make_no_other_key() -> None:
    counts = tell({key(b"cat\0a", b"", 0, 0): 1, key(b"cat\0b", b"", 0, 0): 2})
    assert [count.count for count in counts] == [3]


def test_the_greatest_comes_first_event_by_event() -> None:
    names = {key(name, b"", 0, 0): number for name, number in ((b"a", 1), (b"b", 3), (b"c", 2))}
    counts = tell({**names, spread(0): 1})
    assert [(count.event, count.count) for count in counts] == [
        ("read", 1),
        ("openat", 3),
        ("openat", 2),
        ("openat", 1),
    ]


@pytest.mark.parametrize(
    ("bucket", "at_least", "below"),
    [(NEGATIVE, None, 0), (0, 0, 1), (1, 1, 2), (2, 2, 4), (11, 1024, 2048), (64, 2**63, 2**64)],
)
def test_buckets(bucket: int, at_least: int | None, below: int) -> None:
    [count] = tell({spread(bucket): 5})
    assert isinstance(count.histogram, counting.Histogram)
    [found] = count.histogram.buckets
    assert (found.at_least, found.below, found.count) == (at_least, below, 5)


def test_a_key_has_one_histogram() -> None:
    counted = {spread(3): 2, spread(NEGATIVE): 1, spread(MISSING): 4, spread(3, pid=5): 9}
    other, count = tell(counted)
    assert (other.key, other.count) == ({"pid": 5}, 9)
    assert (count.key, count.count) == ({"pid": 4}, 7)
    assert isinstance(count.histogram, counting.Histogram)
    assert [bucket.below for bucket in count.histogram.buckets] == [0, 8]
    assert count.histogram.missing == 4


def test_addresses() -> None:
    high, low = struct.pack("<Q", 0x20010DB8 << 32), struct.pack("<Q", 1)
    assert counting.address(high + low) == 0x20010DB8 << 96 | 1
