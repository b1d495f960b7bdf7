"""Records of several programs in one ring: each is read by its own decoder."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import hostc
import pytest

from etracee.clock import Clock
from etracee.decoding import Decoder, Reader, import_decoder
from etracee.enrich import Host
from etracee.plan import Plan
from etracee.records import BUSY, DISCARDED
from etracee.render import render_program

Record = tuple[int, int, str, int]
"""Time, generation, event, user id that is set."""


class Program:
    """A plan that watches some events of setting ids, and its decoder."""

    def __init__(self, directory: Path, **events: dict[str, str]) -> None:
        self.plan: Plan = hostc.plan_of(directory, {"context": ["comm"], "events": events})
        path = directory / "decoder.py"
        path.write_text(render_program(self.plan).python)
        self.module = import_decoder(path)
        self.decoder = Decoder(self.module)

    def record(self, time: int, generation: int, event: str, value: int) -> bytes:
        layout = next(known.layout for known in self.plan.events if known.name == event)
        values: dict[str, Any] = {slot.name: value for slot in layout.slots if slot.name != "time"}
        number = generation << 16 | layout.index
        return hostc.pack(layout, {**values, "comm": b"x", "event": number}, time=time)


@pytest.fixture
def old(tmp_path: Path) -> Program:
    return Program(tmp_path, setuid={}, setgid={"filter": "comm matches never"})


@pytest.fixture
def new(tmp_path: Path) -> Program:
    return Program(tmp_path, setgid={}, kill={})


def read(reader: Reader, programs: dict[int, Program], *records: Record) -> list[tuple[Any, int]]:
    """Return the events, and their generations, of records that lie behind each other."""
    packed = (programs[record[1]].record(*record) for record in records)
    events = reader.read(hostc.in_ring(*packed)).items
    return [(event, generation_of(event, programs)) for event in events]


def generation_of(event: Any, programs: dict[int, Program]) -> int:
    """Return which program's decoder has made an event, by its class."""
    classes = {number: vars(program.module).values() for number, program in programs.items()}
    return next(number for number, made in classes.items() if type(event) in made)


def reader_of(programs: dict[int, Program]) -> Reader:
    reader = Reader(Clock(), Host())
    for generation, program in programs.items():
        reader.add(generation, program.decoder)
    return reader


def test_each_record_is_read_by_the_decoder_of_its_generation(old: Program, new: Program) -> None:
    programs = {7: old, 8: new}
    records: Sequence[Record] = (
        (1, 7, "setuid", 10),
        (2, 8, "setgid", 20),
        (3, 7, "setuid", 30),
        (4, 8, "kill", 40),
    )
    found = read(reader_of(programs), programs, *records)
    assert [(event.type, generation, event.ret) for event, generation in found] == [
        (event, generation, value) for _, generation, event, value in records
    ]


def test_events_come_by_their_time_whatever_their_generation(old: Program, new: Program) -> None:
    programs = {0: old, 65535: new}
    found = read(
        reader_of(programs),
        programs,
        (3, 65535, "kill", 3),
        (1, 0, "setuid", 1),
        (2, 65535, "kill", 2),
    )
    assert [(event.ret, generation) for event, generation in found] == [
        (1, 0),
        (2, 65535),
        (3, 65535),
    ]


def test_what_filters_reject_counts_for_its_own_generation(old: Program, new: Program) -> None:
    """The old filter lets no setgid pass, the new one all."""
    programs = {1: old, 2: new}
    found = read(reader_of(programs), programs, (1, 1, "setgid", 0), (2, 2, "setgid", 0))
    assert [generation for _, generation in found] == [2]
    counted = [
        dict(zip(program.decoder.names, program.decoder.rejected, strict=True))["setgid"]
        for program in (old, new)
    ]
    assert counted == [1, 0]


def test_records_of_a_generation_that_has_gone_are_counted(old: Program, new: Program) -> None:
    programs = {1: old, 2: new}
    reader = reader_of(programs)
    reader.remove(1)
    found = read(reader, programs, (1, 1, "setuid", 0), (2, 2, "kill", 0), (3, 1, "setuid", 0))
    assert [event.type for event, _ in found] == ["kill"]
    assert reader.strays == 2
    assert reader.records == 3


@pytest.mark.parametrize("as_lines", [False, True])
def test_reading_ends_at_a_record_that_is_not_finished(old: Program, as_lines: bool) -> None:
    """One that is to be skipped lies before it, and one behind it that is finished."""
    reader = Reader(Clock(), Host(), as_lines=as_lines)
    reader.add(0, old.decoder)
    packed = [old.record(time, 0, "setuid", time) for time in (40, 30, 20, 10)]
    window = hostc.in_ring(*packed)
    step = window.end // len(packed)
    data = bytearray(window.data)
    for at, bit in ((step, DISCARDED), (2 * step, BUSY)):
        struct.pack_into("<I", data, at, len(packed[0]) | bit)
    batch = reader.read(window._replace(data=bytes(data)))
    assert (batch.size, reader.records) == (2 * step, 1)
    (item,) = batch.items
    assert (json.loads(item)["ret"] if isinstance(item, str) else cast(Any, item).ret) == 40
    struct.pack_into("<I", data, 2 * step, len(packed[0]))
    rest = reader.read(window._replace(data=bytes(data), at=batch.size))
    assert (batch.size + rest.size, reader.records) == (window.end, 3)
