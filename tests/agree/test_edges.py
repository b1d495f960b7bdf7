"""Comparisons of texts and addresses against values at the edges of their buffers, one and all.

One program holds all comparisons; the pid of a record selects the one that answers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hostc
import pytest
from expressions import quote

from etracee.catalog import load_catalog
from etracee.catalog.model import PartOf
from etracee.expr.check import Report, check, scope_of
from etracee.expr.evaluate import compile_tree
from etracee.expr.tree import YES

Records = Sequence[tuple[Mapping[str, Any], tuple[str, ...]]]
"""Values by field, and the names of cut ones."""

CATALOG = load_catalog("x86_64")
LIMIT = 16
CONSTANTS = (
    b"",
    b"a",
    b"ab",
    b"abcdefg",
    b"abcdefgh",
    b"abcdefghi",
    b"abcdefghijklmn",
    b"abcdefghijklmno",
    b"bc",
    b"\xff\x80",
    b"mnop",
)
GLOBS = (b"*", b"a*", b"*a", b"*bc*", b"a*c", b"??", b"a?c*", b"*?", b"**", b"?*o", b"")
OPERATORS = ("=", "!=", "startswith", "endswith", "contains")
TEXTS = (
    *CONSTANTS,
    b"xa",
    b"aa",
    b"abc",
    b"abcd",
    b"xabcdefg",
    b"abcdefgx",
    b"abcdefghX",
    b"Xabcdefgh",
    b"aXbXcXd",
    b"aXbXdXc",
)
FULL = (b"abcdefghijklmnop", b"abcdefghijklmnoX", b"aaaaaaaaaaaaaaaa", b"Xbcdefghijklmnop")
"""As long as the buffer: whole, or cut there."""


def _texts_of(field: str) -> list[str]:
    compared = [f"{field} {sign} {quote(c)}" for sign in OPERATORS for c in CONSTANTS]
    globs = [f"{field} like {quote(glob)}" for glob in GLOBS]
    members = [
        f"{field} in ({quote(a)}, {quote(b)})" for a, b in zip(CONSTANTS, TEXTS, strict=False)
    ]
    return [*compared, *globs, *members, f"{field} exists"]


def _disagreements(
    directory: Path,
    event: str,
    comparisons: Sequence[str],
    records: Records,
) -> list[str]:
    """Return where the kernel answers otherwise than Python; it decides all of these alone."""
    both = [text for one in comparisons for text in (one, f"not {one}")]
    whole = " or ".join(f"pid = {n} and {text}" for n, text in enumerate(both))
    profile = {"events": {event: {"filter": whole}}, "options": {"max_string": LIMIT}}
    built = hostc.build(directory, hostc.plan_of(directory, profile))
    plan = built.event(event)
    assert plan.keep == YES
    fields = {**CATALOG.context, **plan.type.fields}
    scope = scope_of([plan.type], CATALOG.context, {})
    answers = [compile_tree(check(t, scope, Report(lambda _: None))[event]) for t in both]
    slots = [slot for slot in plan.layout.slots if slot.name not in ("time", "event")]
    zeros: dict[str, Any] = {slot.name: b"" if slot.storage.variable else 0 for slot in slots}
    zeros["comm"] = b""
    wrong = []
    for given, cut in records:
        packed = {**zeros, **given}
        values = dict(packed)
        for name, field in fields.items():
            if isinstance(field.origin, PartOf) and field.origin.whole in packed:
                raw = packed[field.origin.whole]
                values[name] = None if raw is None else field.origin.part.python(raw)
        for number, text in enumerate(both):
            record = hostc.pack(plan.layout, {**packed, "pid": number}, cut, b"abc")
            if built.is_wanted(event, record) != answers[number]({**values, "pid": number}, cut):
                wrong.append(f"{text} of {given} {cut}")
    return wrong


def test_names(tmp_path: Path) -> None:
    """Short, empty, unreadable, of just the buffer's length, and cut there."""
    whole = [({"filename": text}, ()) for text in (None, *TEXTS, *FULL)]
    cut = [({"filename": text}, ("filename",)) for text in FULL]
    records: Records = [*whole, *cut]
    assert _disagreements(tmp_path, "openat2", _texts_of("filename"), records) == []


def test_names_of_threads(tmp_path: Path) -> None:
    """An array of 16 bytes, with whatever lies behind its NUL."""
    records: Records = [({"comm": text[:15]}, ()) for text in (*TEXTS, *FULL)]
    assert _disagreements(tmp_path, "openat2", _texts_of("comm"), records) == []


@pytest.mark.parametrize("family", [0, 1, 2, 10, 16, 0x0200])
def test_socket_addresses_of_every_length(family: int, tmp_path: Path) -> None:
    """What the length leaves out is missing, whatever lies behind it."""
    comparisons = [f"{name} exists" for name in ("family", "port", "addr")]
    comparisons += (f"family = {number}" for number in (0, 1, 2, 10, 16))
    comparisons += ("port = 258", "port != 258", "port < 258", "port in 1..257")
    comparisons += ("addr = 3.4.5.6", "addr != 3.4.5.6", "addr in 3.4.0.0/16", "addr in 0.0.0.0/0")
    comparisons += ("addr = 708:90a:b0c:d0e:f10:1112:1314:1516", "addr in 708::/16", "addr in ::/0")
    raw = struct.pack("<H", family) + bytes(range(1, 27))
    passed = [(raw + bytes(100))[:length] for length in (*range(29), 128)]
    records: Records = [({"address": address}, ()) for address in (None, *passed)]
    assert _disagreements(tmp_path, "connect", comparisons, records) == []


def test_wait_statuses(tmp_path: Path) -> None:
    comparisons = [f"{name} exists" for name in ("exit_code", "signal")]
    comparisons += (f"exit_code {sign} {n}" for sign in ("=", "!=", "<", ">=") for n in (0, 1, 255))
    comparisons += (f"signal {sign} {n}" for sign in ("=", "!=", ">") for n in (1, 9, "SIGSEGV"))
    statuses = [code << 8 for code in (0, 1, 2, 255)] + [1, 9, 11, 9 | 0x80, 0x7F, 0xFF]
    records: Records = [({"status": status}, ()) for status in statuses]
    assert _disagreements(tmp_path, "exit", comparisons, records) == []
