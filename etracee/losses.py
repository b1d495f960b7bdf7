"""Tell what was lost, interval by interval, and how large a ring would have held it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from etracee.clock import Clock
from etracee.event import Loss
from etracee.generations import Generations

_MISSES_EVERY = 10
"""Intervals between looks at what the kernel has skipped, which takes a call for each hook."""


class Losses:
    """What the programs of a run have lost, as items for the sinks.

    `ring_wanted` are the bytes of a ring that would have held the longest flood at the rate at
    which it was read, 0 while there was none; see etracee.units.LARGEST_RING for the largest.
    """

    def __init__(self, generations: Generations, clock: Clock) -> None:
        self.ring_wanted = 0
        self._generations, self._clock = generations, clock
        self._since = self._misses_since = clock.now()
        self._missed: Counter[str] = Counter()
        self._flood = 0
        self._interval = 0

    def find(self, *, is_last: bool = False) -> Iterator[Loss]:
        """Yield what was lost since the last time: to be called at regular intervals."""
        start, self._since = self._since, self._clock.now()
        refused = 0
        for generation in self._generations.live():
            for name, count in generation.find_refused().items():
                refused += count if name in generation.decoder.names else 0
                yield Loss(name, count, start, self._since, generation.blind_rules(name))
            for name, count in generation.find_unfitted().items():
                yield Loss(name, count, start, self._since, ())
        self._size_ring(refused)
        self._interval += 1
        if is_last or self._interval % _MISSES_EVERY == 0:
            yield from self._find_missed()

    def _find_missed(self) -> Iterator[Loss]:
        """Yield what the kernel has not called our hooks for."""
        start, self._misses_since = self._misses_since, self._clock.now()
        new = self._generations.slots.misses - self._missed
        self._missed += new
        for name, count in new.items():
            blind = self._generations.current.blind_rules(name)
            yield Loss(name, count, start, self._misses_since, blind)

    def _size_ring(self, refused: int) -> None:
        """Note what ring would have held this flood, of which each interval so far has lost some.

        Twice what is missing, if records had the size of those that were read: they may be larger,
        and events that give way have three quarters of a ring.
        """
        ring = self._generations.ring
        self._flood = self._flood + refused if refused else 0
        if self._flood and ring.fullest > ring.size // 2:
            missing = self._flood * ring.consumed // max(self._generations.reader.records, 1)
            wanted = ring.size + 2 * missing
            self.ring_wanted = max(self.ring_wanted, 1 << (wanted - 1).bit_length())
