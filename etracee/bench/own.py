"""What events cost etracee's own process: a sample is read and written as the monitor does it."""

from __future__ import annotations

import mmap
import os
import select
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from etracee.bench.watch import split_sample
from etracee.clock import Clock
from etracee.decoding import Decoder, Reader
from etracee.enrich import Host
from etracee.event import Item
from etracee.monitor import BUSY_TICK
from etracee.plan import Plan
from etracee.render import render_program
from etracee.runtime.image import compile_decoder, import_decoder
from etracee.runtime.ring import Ring
from etracee.sinks.json import JsonSink

_RING = 1 << 22
"""Bytes of the ring from which is read: more than a batch, and than the caches hold."""
_BATCH = 512
"""Records that are read at once: about what the monitor takes from a busy ring."""
_RUNS, _TICKS = 15, 40
"""How often each reading is timed, and ticks; the median of the readings counts."""


@dataclass(frozen=True)
class EventCost:
    """One event: ns of its reading and writing, bytes of JSON, share that Python delivers."""

    ns: float
    written_bytes: float
    delivered: float


@dataclass(frozen=True)
class OwnCost:
    """What etracee's process spends, ns: for a look at the ring, for a batch, for each event.

    `events` are by the index of the event, and only those that the sample had.
    """

    tick_ns: float
    batch_ns: float
    events: dict[int, EventCost]


def measure_own(plan: Plan, sample: Sequence[bytes]) -> OwnCost:
    """Return what the records of `sample` cost the monitor with `etracee run --format json`."""
    with tempfile.TemporaryDirectory(prefix="etracee-bench-") as name:
        bench = _Bench(plan, Path(name))
        found = split_sample(sample, len(plan.events))
        costs = {index: bench.measure(records) for index, records in found.items() if records}
        singles = [bench.time(_pack(records[:1], 1)) for records in found.values() if records]
        events = [cost.ns for cost in costs.values()]
        batch = min((one - each for one, each in zip(singles, events, strict=True)), default=0.0)
        return OwnCost(bench.measure_tick(), max(0.0, batch), costs)


class _Bench:
    """The monitor's reading and writing, from a ring that no program fills."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        code = compile_decoder(render_program(plan).python)
        self._decoder = Decoder(import_decoder(code))
        self._reader = Reader(Clock(), Host(), as_lines=True)
        self._reader.add(0, self._decoder)
        self._file = (directory / "events.json").open("wb")
        self._sink = JsonSink(self._file.fileno())
        self._ring = _FilledRing()

    def measure(self, records: Sequence[bytes]) -> EventCost:
        """Return the cost of one of these records, all of one event."""
        count = min(_BATCH, _RING // 2 // max(map(len, records)))
        data = _pack(records, count)
        self._ring.put(data)
        items = self._read()
        text = len(self._sink.encode(items))
        ns = self.time(data) / count
        return EventCost(ns, text / len(items) if items else 0.0, len(items) / count)

    def time(self, data: bytes) -> float:
        """Return the ns of processor time that a batch takes.

        A tick lies between readings, as in the monitor: others leave little of it in the caches.
        """

        def run() -> None:
            items = self._read()
            if items:
                self._sink.write(items)

        taken = []
        for _ in range(_RUNS):
            self._ring.put(data)
            time.sleep(BUSY_TICK)
            taken.append(_processor_ns(run))
        return statistics.median(taken)

    def _read(self) -> Sequence[Item]:
        batch = self._reader.read(self._ring.look(_RING))
        self._ring.release(batch.size)
        return batch.items

    def measure_tick(self) -> float:
        """Return the ns of processor time of a wait for the ring that ends with nothing in it."""
        quiet, other = socket.socketpair()

        def run() -> None:
            for _ in range(_TICKS):
                select.select([quiet], [], [], BUSY_TICK)
                self._read()

        with quiet, other:
            return _processor_ns(run) / _TICKS


class _FilledRing(Ring):
    """A ring in memory of its own, laid out as the kernel's: see Ring."""

    def __init__(self) -> None:
        self._memory = os.memfd_create("etracee-bench", os.MFD_CLOEXEC)
        os.ftruncate(self._memory, 2 * mmap.PAGESIZE + 2 * _RING)
        super().__init__(self._memory, _RING)
        self._at = 0

    def put(self, data: bytes) -> None:
        """Let `data`, all of which has been taken so far, be next; each at another place."""
        if self._at % _RING + len(data) > _RING:
            self._at += _RING - self._at % _RING  # nothing is mapped twice here
        os.pwrite(self._memory, data, 2 * mmap.PAGESIZE + self._at % _RING)
        os.pwrite(self._memory, struct.pack("<Q", self._at), 0)
        self._at += len(data)
        os.pwrite(self._memory, struct.pack("<Q", self._at), mmap.PAGESIZE)


def _processor_ns(run: Callable[[], None]) -> int:
    start = time.process_time_ns()
    run()
    return time.process_time_ns() - start


def _pack(records: Sequence[bytes], count: int) -> bytes:
    """Return `count` records as they would lie in the ring, in the order of their time."""
    data = bytearray()
    (first,) = struct.unpack_from("<Q", records[0], 8)
    for number in range(count):
        at = len(data)
        data += records[number % len(records)]
        struct.pack_into("<Q", data, at + 8, first + number * 1000)
    return bytes(data)
