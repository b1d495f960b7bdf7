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
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import YES
from etracee.plan import grams

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
FEW = 7
"""Comparisons of a program: two constants each are too few for a trie."""
LOOKED_UP = ("=", "in", "startswith")
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
    *,
    looked_up: bool = False,
) -> list[str]:
    """Return where the kernel answers otherwise than Python; it decides all of these alone."""
    both = [text for one in comparisons for text in (one, f"not {one}")]
    whole = " or ".join(f"pid = {n} and {text}" for n, text in enumerate(both))
    profile = {"events": {event: {"filter": whole}}, "options": {"max_string": LIMIT}}
    built = hostc.build(directory, hostc.plan_of(directory, profile))
    plan = built.event(event)
    assert plan.keep == YES
    assert bool(built.plan.tries) == looked_up
    fields = {**CATALOG.context, **plan.type.fields}
    scope = scope_of([plan.type], CATALOG.context, {})
    answers = [compile_tree(check(t, scope, Report(lambda _: None))[event]) for t in both]
    wrong = []
    for given, cut in records:
        packed = {**hostc.zeros(plan.layout), **given}
        values = dict(packed)
        for name, field in fields.items():
            if isinstance(field.origin, PartOf) and field.origin.whole in packed:
                raw = packed[field.origin.whole]
                values[name] = (
                    None if raw is None else field.origin.part.python(raw, *field.origin.part.given)
                )
        for number, text in enumerate(both):
            record = hostc.pack(plan.layout, {**packed, "pid": number}, cut, b"abc")
            if built.is_wanted(event, record) != answers[number]({**values, "pid": number}, cut):
                wrong.append(f"{text} of {given} {cut}")
    return wrong


NAMES: Records = [
    *(({"filename": text}, ()) for text in (None, *TEXTS, *FULL)),
    *(({"filename": text}, ("filename",)) for text in FULL),
]
"""Short, empty, unreadable, of just the buffer's length, and cut there."""
THREADS: Records = [({"comm": text[:15]}, ()) for text in (*TEXTS, *FULL)]
"""An array of 16 bytes, with whatever lies behind its NUL."""

each_text = pytest.mark.parametrize(
    ("field", "records"), [("filename", NAMES), ("comm", THREADS)], ids=["filename", "comm"]
)


@each_text
def test_texts_compared_one_by_one(
    field: str, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So few in one program that it neither leaves them to Python nor looks them up."""
    monkeypatch.setattr(grams, "FEWEST", 100)
    comparisons = _texts_of(field)
    for start in range(0, len(comparisons), FEW):
        few = comparisons[start : start + FEW]
        directory = tmp_path / str(start)  # a library is loaded once by its name
        directory.mkdir()
        assert _disagreements(directory, "openat2", few, records) == []


@each_text
def test_texts_looked_up(field: str, records: Records, tmp_path: Path) -> None:
    comparisons = [text for text in _texts_of(field) if text.split()[1] in LOOKED_UP]
    assert _disagreements(tmp_path, "openat2", comparisons, records, looked_up=True) == []


def test_look_up_gives_back_what_it_borrows(tmp_path: Path) -> None:
    """The key of a text is made in the record, of bytes that belong to its neighbours too."""
    several = ", ".join(f"/{n}" for n in range(20))
    tests = f"comm in ({several}) or oldname in ({several}) or newname in ({several})"
    built = hostc.build(
        tmp_path, hostc.plan_of(tmp_path, {"events": {"rename": {"filter": tests}}})
    )
    assert {trie.field for trie in built.plan.tries} == {"comm", "oldname", "newname"}
    layout = built.event("rename").layout
    for oldname, newname in ((b"", b"/3"), (b"/x", b"/3"), (b"/4", b""), (b"/5", b"/longer")):
        values = {**hostc.zeros(layout), "oldname": oldname, "newname": newname}
        record = hostc.pack(layout, values)
        assert built.judge("rename", record) == record


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
