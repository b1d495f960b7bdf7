"""Import the generated decoders, and read batches of records with them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from etracee.clock import Clock
from etracee.counting import Keys
from etracee.encoding import encode_line
from etracee.engine.alerts import Hit
from etracee.enrich import Host
from etracee.event import Event, Item

Fired = Iterable[Hit]


def import_decoder(path: Path) -> ModuleType:
    """Import the module that the compiler has written to `path`."""
    spec = importlib.util.spec_from_file_location("etracee_decoder", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Decoder:
    """The generated module of one program, and what it has decoded.

    The counts are by index of the event: records received, those that Python's part of the
    filters rejected, and events of which a value was cut.
    """

    def __init__(self, module: ModuleType) -> None:
        self.names: tuple[str, ...] = module.EVENTS
        self.delivered: tuple[bool, ...] = module.DELIVERED
        self.keys: tuple[Keys | None, ...] = module.KEYS
        self.count_every: float = module.COUNT_EVERY
        self.rules: tuple[Any, ...] = module.RULES
        self.shown: dict[tuple[str, str], Any] = module.SHOWN
        self.asks_for_processes: bool = module.ASKS_FOR_PROCESSES
        self.allows_actions: bool = module.ALLOWS_ACTIONS
        self.rules_by_event: tuple[tuple[int, ...], ...] = module.RULES_BY_EVENT
        self.open_answers: list[int] = module.OPEN_ANSWERS
        self.received, self.rejected, self.cut = ([0] * len(self.names) for _ in range(3))
        self.writers: tuple[Callable[..., int] | None, ...] = module.WRITERS
        self.functions: tuple[Callable[..., tuple[Event, Fired] | None], ...] = module.DECODERS

    @property
    def counted(self) -> tuple[str, ...]:
        """Return the events that are counted instead of being delivered."""
        return tuple(compress(self.names, self.keys))


class Found(NamedTuple):
    """An event on which rules fired.

    Of the batch's items, `before` come before the event, and `after` before its alerts: one more
    where the event is delivered by itself.
    """

    before: int
    after: int
    event: Event
    fired: Fired
    generation: int


@dataclass
class Batch:
    """What a batch of records has become, in the order of its time.

    `items` are delivered: events, or lines of JSON with their newline.
    """

    items: list[Item] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)


Run = Callable[[memoryview, Sequence[int], int], int]
"""Reads records from one place on, as long as they are alike; returns the place of the next."""


class Reader:
    """Turns records into events, each by the decoder of the generation that stands in it.

    A reload begins a new generation, and records of both may lie in the ring. `strays` counts
    those of a generation that has been removed. With `as_lines`, what is delivered is JSON already.
    """

    def __init__(self, clock: Clock, host: Host, *, as_lines: bool = False) -> None:
        self.strays = 0
        self.host = host
        self._clock = clock
        self._as_lines = as_lines
        self._decoders: dict[int, Decoder] = {}

    def add(self, generation: int, decoder: Decoder) -> None:
        """Read the records of `generation` with `decoder` from now on."""
        self._decoders[generation] = decoder

    def remove(self, generation: int) -> None:
        """Let go of the decoder of `generation`."""
        del self._decoders[generation]

    def read(self, data: bytes, records: Sequence[int]) -> Batch:
        """Return what lies at the offsets `records` of `data`, whole words of it.

        Records are decoded in the order of their time, with which each begins: what one tells of a
        process, the next may ask for.
        """
        batch = Batch()
        numbers = memoryview(data).cast("I")
        records = _sort_by_time(data, records)
        self.host.begin_batch()
        known: dict[int, Run] = {}
        place = 0
        while place < len(records):
            number = numbers[(records[place] >> 2) + 2]
            run = known.get(number)
            if run is None:
                run = known[number] = self._find(number, data, batch)
            place = run(numbers, records, place)
        return batch

    def _find(self, number: int, data: bytes, batch: Batch) -> Run:
        """Return what reads records of one event of one generation into `batch`."""
        generation, index = divmod(number, 1 << 16)
        decoder = self._decoders.get(generation)
        if decoder is None:
            return self._skip
        tell = partial(self._decode, batch, data, generation, decoder, index)
        writer = decoder.writers[index] if self._as_lines else None
        given = (data, self._clock, self.host, batch.items.append, tell, decoder.rejected)

        def run(numbers: memoryview, records: Sequence[int], place: int) -> int:
            first = place
            if writer is None:
                tell(records[place])
                place += 1
            else:
                place = writer(numbers, records, place, *given)
            decoder.received[index] += place - first
            return place

        return run

    def _skip(self, _numbers: memoryview, _records: Sequence[int], place: int) -> int:
        self.strays += 1
        return place + 1

    def _decode(
        self, batch: Batch, data: bytes, generation: int, decoder: Decoder, index: int, at: int
    ) -> None:
        """Add what becomes of one record."""
        decoded = decoder.functions[index](data, at, self._clock, self.host)
        if decoded is None:
            decoder.rejected[index] += 1
            return
        event, fired = decoded
        if event.truncated:  # type: ignore[attr-defined]
            decoder.cut[index] += 1
        before = len(batch.items)
        if decoder.delivered[index]:
            batch.items.append(encode_line(event) if self._as_lines else event)
        if fired:
            batch.found.append(Found(before, len(batch.items), event, fired, generation))


def _sort_by_time(data: bytes, records: Sequence[int]) -> Sequence[int]:
    times = memoryview(data).cast("Q")
    stamps = [times[at >> 3] for at in records]
    if stamps == sorted(stamps):
        return records
    return sorted(records, key=lambda at: times[at >> 3])
