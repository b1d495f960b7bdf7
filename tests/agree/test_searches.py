"""One pass for many searches: what a rule looks for is never missed by the four bytes of it."""

from __future__ import annotations

import functools
import re
import struct
import tempfile
from pathlib import Path

import hostc
from hypothesis import given
from hypothesis import strategies as st

from etracee.expr.evaluate import compile_tree
from etracee.operators import all_operators
from etracee.operators.grams import hash_gram
from etracee.plan.model import Request

LIMIT = 64
CONDITIONS = (
    "filename contains /part-{n}-",
    "filename like */mid{n}le/*",
    "filename matches 'word[a-z]*-{n}-end'",
    "filename matches '^/x/(a|b)suffix{n}'",
    "filename matches 'opt(ion)?al-{n}x*' and not filename contains zz",
)
FOUND = (b"/part-%d-", b"/mid%dle/", b"words-%d-end", b"/x/asuffix%d", b"optional-%dx")
RULES = 60


@functools.cache
def built() -> hostc.Built:
    rules = [
        {
            "id": f"r{n}",
            "title": "Found",
            "events": ["openat"],
            "condition": CONDITIONS[n % len(CONDITIONS)].format(n=n),
        }
        for n in range(RULES)
    ]
    with tempfile.TemporaryDirectory() as made:
        profile = {"events": {"exit": {}}, "options": {"max_string": LIMIT}}
        plan = hostc.plan_of(Path(made), profile, *rules, request=Request(alerts_only=True))
        assert [grams.field for grams in plan.grams] == ["filename"]
        return hostc.build(Path(made), plan)


names = st.binary(max_size=20).map(lambda text: text.replace(b"\0", b""))


@given(st.integers(0, RULES - 1), names, names)
def test_nothing_is_missed(number: int, before: bytes, behind: bytes) -> None:
    needle = FOUND[number % len(FOUND)] % number
    value = needle + behind if needle.startswith(b"/x/") else before + needle + behind
    event = built().plan.events[0]
    wanted = [m for m in event.matches if compile_tree(m.tree)({"filename": value}, ())]
    record = hostc.pack(event.layout, {**hostc.zeros(event.layout), "filename": value}, (), b"\xa5")
    judged = built().judge("openat", record)
    assert wanted or b"zz" in value or needle.startswith(b"/mid")
    assert judged is not None or not wanted
    if judged is not None:
        (bits,) = struct.unpack_from("<Q", judged, event.layout.slot("rules").offset)
        for match in wanted:
            assert bits >> (63 if match.bit is None else match.bit) & 1


@given(names)
def test_most_names_are_told_apart(value: bytes) -> None:
    """What holds no four bytes of a search stays in the kernel, but for a chance of hashes."""
    event = built().plan.events[0]
    record = hostc.pack(event.layout, {**hostc.zeros(event.layout), "filename": value}, (), b"\0")
    (grams,) = built().plan.grams
    holds = grams.encode()
    bits = (hash_gram(value[i : i + 4]) for i in range(len(value) - 3))
    told = any(holds[bit // 8] >> bit % 8 & 1 for bit in bits)
    assert told or built().judge("openat", record) is None


pieces = st.sampled_from(
    [
        "abc",
        "d",
        "x*",
        "y?",
        "z+",
        "(ef)",
        "(gh)?",
        "[ij]",
        ".",
        "\\.",
        "k{0,2}",
        "(l|m)",
        "no|pq",
        "^",
        "$",
    ]
)


@given(st.lists(pieces, max_size=6), st.text("abcdefghijklmnopqxyz.", max_size=24))
def test_required_bytes_of_a_pattern(parts: list[str], text: str) -> None:
    """Wherever a pattern is found, the row of bytes that it is said to need stands."""
    pattern = "".join(parts)
    row = all_operators()["matches"].required(pattern.encode())
    if re.search(pattern, text):
        assert row.decode() in text
