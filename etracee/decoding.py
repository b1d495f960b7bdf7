"""Import the generated decoder, and read batches of records with it."""

from __future__ import annotations

import importlib.util
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
    """Turns records into events, by the functions of a generated module.

    The counts are by index of the event: records received, those that Python's part of the
    filters rejected, and events of which a value was cut.
    """

    def __init__(self, module: ModuleType, clock: Clock) -> None:
        self.names: tuple[str, ...] = module.EVENTS
        self.delivered: tuple[bool, ...] = module.DELIVERED
        self.rules: tuple[Any, ...] = module.RULES
        self.rules_by_event: tuple[tuple[int, ...], ...] = module.RULES_BY_EVENT
        self.open_answers: list[int] = module.OPEN_ANSWERS
        self.received, self.rejected, self.cut = ([0] * len(self.names) for _ in range(3))
        self._decoders: tuple[Callable[..., tuple[Event, Fired] | None], ...] = module.DECODERS
        self._clock = clock

    def read(self, data: memoryview, records: Iterable[int]) -> list[tuple[Event, bool, Fired]]:
        """Return events, whether each is delivered by itself, and the rules that fired on it.

        `records` are offsets in `data`; events come in the order of their time.
        """
        found = []
        indices, decoders, clock = data.cast("I"), self._decoders, self._clock
        for at in records:
            index = indices[(at >> 2) + 2]
            self.received[index] += 1
            decoded = decoders[index](data, at, clock)
            if decoded is None:
                self.rejected[index] += 1
                continue
            event, fired = decoded
            if event.truncated:  # type: ignore[attr-defined]
                self.cut[index] += 1
            found.append((event, self.delivered[index], fired))
        found.sort(key=_timestamp)
        return found


def _timestamp(item: tuple[Any, bool, Fired]) -> str:
    return item[0].timestamp  # type: ignore[no-any-return]
