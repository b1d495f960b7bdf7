"""Import the generated decoders, and read windows of records with them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from mmap import mmap
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from etracee.clock import Clock
from etracee.counting import Keys
from etracee.encoding import encode_line
from etracee.engine.alerts import Hit
from etracee.enrich import Host
from etracee.event import Event, Item
from etracee.records import BUSY, DISCARDED, HEADER, Window, sort_by_time, step_over

_TIME = attrgetter("timestamp")

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

    The counts are by index of the event: records that Python's part of the filters rejected, and
    events of which a value was cut.
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
        self.rejected, self.cut = ([0] * len(self.names) for _ in range(2))
        self.writers: tuple[Callable[..., int] | None, ...] = module.WRITERS
        self.functions: tuple[Callable[..., tuple[Event, Fired] | None], ...] = module.DECODERS

    @property
    def decodes_by_time(self) -> bool:
        """Say whether what comes of a record depends on which came before."""
        return bool(self.rules) or self.asks_for_processes

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
    """What the records of a window have become, in the order of their time.

    `items` are delivered: events, or lines of JSON with their newline. `size` are the bytes that
    were read.
    """

    items: list[Item] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    size: int = 0


Run = Callable[[int, int], int]
"""Reads records from one header on, as long as they are alike; returns where the next one lies."""


class Reader:
    """Turns records into events, each by the decoder of the generation that stands in it.

    A reload begins a new generation, and records of both may lie in the ring. `strays` counts
    those of a generation that has been removed, `records` all that were read. With `as_lines`, what
    is delivered is JSON already.
    """

    def __init__(self, clock: Clock, host: Host, *, as_lines: bool = False) -> None:
        self.strays, self.records = 0, 0
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

    def read(self, window: Window) -> Batch:
        """Return what lies in the window, up to a record that is not finished.

        Where it matters, records are decoded in the order of their time: rules fire in it, and what
        one tells of a process, the next may ask for. Else it is cheaper to sort what comes of them.
        """
        batch = Batch()
        self.host.begin_batch()
        if any(decoder.decodes_by_time for decoder in self._decoders.values()):
            by_time, end = sort_by_time(window)
            self._read_into(batch, by_time)
        else:
            end = self._read_into(batch, window)
            # A line begins with its time, all of them with as many digits.
            batch.items.sort(key=None if self._as_lines else _TIME)
        batch.size = end - window.at
        return batch

    def _read_into(self, batch: Batch, window: Window) -> int:
        """Read records as they lie; return where the first lies that is not finished."""
        _, at, end = window
        words = window.words
        known: dict[int, Run] = {}
        while at < end:
            header = words[at >> 2]
            if header < DISCARDED:
                number = words[(at >> 2) + 4]
                run = known.get(number)
                if run is None:
                    run = known[number] = self._find(number, window, batch)
                at = run(at, end)
            elif header & BUSY:
                break
            else:
                at += step_over(header)
        return at

    def _find(self, number: int, window: Window, batch: Batch) -> Run:
        """Return what reads records of one event of one generation into `batch`."""
        generation, index = divmod(number, 1 << 16)
        decoder = self._decoders.get(generation)
        if decoder is None:
            return partial(self._read_one, window.words, self._skip)
        tell = partial(self._decode, batch, window.data, generation, decoder, index)
        writer = decoder.writers[index] if self._as_lines else None
        if writer is None:
            return partial(self._read_one, window.words, tell)
        items, rejected = batch.items, decoder.rejected
        given = (number, self._clock, self.host, items.append, tell, rejected)
        write = partial(writer, window.data)

        def run(at: int, end: int) -> int:
            before = len(items) + rejected[index]
            at = write(at, end, *given)
            self.records += len(items) + rejected[index] - before
            return at

        return run

    def _read_one(self, words: memoryview, tell: Callable[[int], None], at: int, _end: int) -> int:
        tell(at)
        self.records += 1
        return at + step_over(words[at >> 2])

    def _skip(self, _at: int) -> None:
        self.strays += 1

    def _decode(
        self,
        batch: Batch,
        data: mmap | bytes,
        generation: int,
        decoder: Decoder,
        index: int,
        at: int,
    ) -> None:
        """Add what becomes of the record behind the header at `at`."""
        decoded = decoder.functions[index](data, at + HEADER, self._clock, self.host)
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
