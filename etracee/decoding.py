"""Import the generated decoders, and read batches of records with them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from itertools import compress
from pathlib import Path
from types import ModuleType
from typing import Any

from etracee.clock import Clock
from etracee.counting import Keys
from etracee.engine.alerts import Hit
from etracee.enrich import Host
from etracee.event import Event

Fired = Iterable[Hit]
Found = tuple[Event, bool, Fired, int]
"""An event, whether it is delivered by itself, the rules that fired on it, and its generation."""


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
        self.functions: tuple[Callable[..., tuple[Event, Fired] | None], ...] = module.DECODERS

    @property
    def counted(self) -> tuple[str, ...]:
        """Return the events that are counted instead of being delivered."""
        return tuple(compress(self.names, self.keys))


class Reader:
    """Turns records into events, each by the decoder of the generation that stands in it.

    A reload begins a new generation, and records of both may lie in the ring. `strays` counts
    those of a generation that has been removed.
    """

    def __init__(self, clock: Clock, host: Host) -> None:
        self.strays = 0
        self.host = host
        self._clock = clock
        self._decoders: dict[int, Decoder] = {}

    def add(self, generation: int, decoder: Decoder) -> None:
        """Read the records of `generation` with `decoder` from now on."""
        self._decoders[generation] = decoder

    def remove(self, generation: int) -> None:
        """Let go of the decoder of `generation`."""
        del self._decoders[generation]

    def read(self, data: memoryview, records: Iterable[int]) -> list[Found]:
        """Return what lies at the offsets `records` of `data`, in the order of its time.

        Each begins with its time, and is decoded in that order: what one tells of a process, the
        next may ask for.
        """
        found: list[Found] = []
        numbers, clock, host = data.cast("I"), self._clock, self.host
        host.begin_batch()
        current, decoder = -1, None
        times = data.cast("Q")
        for at in sorted(records, key=lambda at: times[at >> 3]):
            number = numbers[(at >> 2) + 2]
            generation, index = number >> 16, number & 0xFFFF
            if generation != current:
                current, decoder = generation, self._decoders.get(generation)
                if decoder is not None:
                    received, rejected, cut = decoder.received, decoder.rejected, decoder.cut
                    functions, delivered = decoder.functions, decoder.delivered
            if decoder is None:
                self.strays += 1
                continue
            received[index] += 1
            decoded = functions[index](data, at, clock, host)
            if decoded is None:
                rejected[index] += 1
                continue
            event, fired = decoded
            if event.truncated:  # type: ignore[attr-defined]
                cut[index] += 1
            found.append((event, delivered[index], fired, generation))
        return found
