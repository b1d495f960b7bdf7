"""Import the generated decoder, and read batches of records with it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from etracee.clock import Clock
from etracee.event import Event

Fired = Iterable[int]


def import_decoder(path: Path) -> ModuleType:
    """Import the module that the compiler has written to `path`."""
    spec = importlib.util.spec_from_file_location("etracee_decoder", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Decoder:
    """Turns records into events, by the functions of a generated module."""

    def __init__(self, module: ModuleType, clock: Clock) -> None:
        self.names: tuple[str, ...] = module.EVENTS
        self.delivered: tuple[bool, ...] = module.DELIVERED
        self.rules: tuple[Any, ...] = module.RULES
        self.open_answers: list[int] = module.OPEN_ANSWERS
        self.received: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self._decoders: tuple[Callable[..., tuple[Event, Fired] | None], ...] = module.DECODERS
        self._clock = clock

    def read(self, data: memoryview, records: Iterable[int]) -> list[tuple[Event, bool, Fired]]:
        """Return events, whether each is delivered by itself, and the rules that fired on it.

        `records` are offsets in `data`; events come in the order of their time.
        """
        found = []
        indices = data.cast("I")
        for at in records:
            index = indices[(at >> 2) + 2]
            self.received[self.names[index]] += 1
            decoded = self._decoders[index](data, at, self._clock)
            if decoded is None:
                self.rejected[self.names[index]] += 1
                continue
            event, fired = decoded
            if event.truncated:  # type: ignore[attr-defined]
                self.cut[self.names[index]] += 1
            found.append((event, self.delivered[index], fired))
        found.sort(key=lambda item: item[0].timestamp)  # type: ignore[attr-defined]
        return found
