"""Inputs of the benchmarks: the bundled minimal profile, and records as its program writes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from etracee.clock import Clock
from etracee.decoding import Decoder, Reader, import_decoder
from etracee.enrich import Host
from etracee.event import EventLayout
from etracee.plan import Plan, Request, attach_by, make_plan
from etracee.plan.pushdown import OTHERS
from etracee.records import Window
from etracee.render import Program, render_program
from etracee.source_set import SourceSet, load_source_set

RECORDS = 1000
"""Records in a batch: about the 64 KiB and more that the monitor decodes at once."""
_ROOM = bytes(1 << 12)
"""What lies behind the records."""

_CONTEXT = {"pid": 4242, "ppid": 4200, "uid": 1000, "gid": 1000, "tid": 4242}
_SOCKADDR = struct.pack("<H", 2) + struct.pack(">H4s8x", 443, bytes([192, 0, 2, 7]))
_OPENAT = {**_CONTEXT, "comm": b"bash", "ret": 3, "dfd": -100, "flags": 0o2000000, "mode": 0}
_VALUES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "execve": (
        {
            **_CONTEXT,
            "comm": b"bash",
            "ret": 0,
            "filename": b"/usr/bin/grep",
            "argv": b"grep\0-rn\0--include=*.conf\0nameserver\0/etc\0",
        },
    ),
    "openat": (
        {**_OPENAT, "filename": b"/etc/ld.so.cache"},
        {**_OPENAT, "filename": b"/lib/x86_64-linux-gnu/libc.so.6"},
        {**_OPENAT, "filename": b"/proc/self/status", "ret": -2},
        {**_OPENAT, "filename": b"/var/log/app/2024-01-01.log", "flags": 0o2001, "mode": 0o644},
    ),
    "connect": ({**_CONTEXT, "comm": b"curl", "ret": -115, "fd": 5, "address": _SOCKADDR},),
    "exit": ({**_CONTEXT, "comm": b"grep", "status": 256},),
}
"""Values by event, several variants of the frequent one; texts and addresses are bytes."""
_MIX = ("openat",) * 16 + ("connect", "connect", "execve", "exit")
"""What a host does: far more opens than anything else."""


_UNDECIDED = 1 << OTHERS
"""The bits of rules in a record when the kernel leaves them all to Python."""


def make_running_plan(source: SourceSet, *, alerts_only: bool = False) -> Plan:
    """Return the plan as the running monitor would have it."""
    request = Request(alerts_only=alerts_only)
    plan = make_plan(source.profile, source.rules, request, source.catalog)
    return attach_by(plan, "tracepoint", typed_loads=True)


def start_reader(
    program: Program, directory: Path, *, as_lines: bool = False
) -> tuple[Reader, Decoder]:
    """Import the program's decoder, and return it with what reads records by it."""
    path = directory / "decoder.py"
    path.write_text(program.python)
    reader, decoder = Reader(Clock(), Host(), as_lines=as_lines), Decoder(import_decoder(path))
    reader.add(0, decoder)
    return reader, decoder


def pack_opens(layout: EventLayout) -> Window:
    """Return RECORDS opens."""
    return _pack_all({"openat": layout}, ("openat",))


@pytest.fixture(scope="session")
def source() -> SourceSet:
    """Return the minimal profile and the catalog."""
    return load_source_set("minimal", ())


@pytest.fixture(scope="session")
def plan(source: SourceSet) -> Plan:
    """Return its plan."""
    return make_running_plan(source)


@pytest.fixture(scope="session")
def program(plan: Plan) -> Program:
    """Return its C and its decoder."""
    return render_program(plan)


@pytest.fixture
def running(program: Program, tmp_path: Path) -> tuple[Reader, Decoder]:
    """Return the generated decoder, and its reader."""
    return start_reader(program, tmp_path)


@pytest.fixture(scope="session")
def batch(plan: Plan) -> Window:
    """Return RECORDS records in the mix, one after the other as in the ring."""
    return _pack_all({event.name: event.layout for event in plan.events}, _MIX)


def _pack_all(layouts: Mapping[str, EventLayout], mix: Sequence[str]) -> Window:
    data = bytearray()
    for number in range(RECORDS):
        name = mix[number % len(mix)]
        variants = _VALUES[name]
        record = _pack(layouts[name], variants[number // 5 % len(variants)], number)
        data += struct.pack("<Q", len(record)) + record + bytes(-len(record) % 8)
    return Window(bytes(data) + _ROOM, 0, len(data))


def _pack(layout: EventLayout, values: Mapping[str, Any], number: int) -> bytes:
    """Return a record: each slot at its offset, and behind them the bytes of variable ones.

    A slot that no value is known for is empty.
    """
    fixed, tail = bytearray(layout.size), b""
    header = {"time": 10**12 + number * 2000, "event": layout.index, "rules": _UNDECIDED}
    given = {**header, **values}
    for slot in layout.slots:
        is_bytes = slot.storage.variable or slot.storage.array
        value = given.get(slot.name, b"" if is_bytes else 0)
        if slot.storage.variable:
            tail += value
            value = len(value)
        struct.pack_into("<" + slot.storage.code, fixed, slot.offset, value)
    return bytes(fixed) + tail
