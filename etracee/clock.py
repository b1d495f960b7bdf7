"""Times of records: nanoseconds of CLOCK_MONOTONIC become wall-clock time."""

from __future__ import annotations

import time


class Clock:
    """Turns monotonic nanoseconds into nanoseconds since the epoch and into local time.

    The distance between the two clocks is taken anew by `adjust()`, since setting the time moves
    only one of them.
    """

    def __init__(self) -> None:
        self.offset = 0
        self._second = self._milliseconds = -1
        self._until_second = self._text = ""
        self.adjust()

    def adjust(self) -> None:
        """Measure the distance, between two readings of one clock as close as they get."""
        tries = []
        for _ in range(3):
            before = time.monotonic_ns()
            wall = time.time_ns()
            after = time.monotonic_ns()
            tries.append((after - before, wall - (before + after) // 2))
        self.offset = min(tries)[1]

    def now(self) -> str:
        """Return the time, in ns since the epoch, as events have it."""
        return str(time.monotonic_ns() + self.offset)

    def tell_millisecond(self, wall: int) -> tuple[str, int]:
        """Return the local time as `human` does, and up to when, in ns, it is the same."""
        return self.human(wall), wall - wall % 1_000_000 + 1_000_000

    def human(self, wall: int) -> str:
        """Return local time with milliseconds: 2023-12-21 10:30:56.789."""
        milliseconds = wall // 1_000_000
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            second, rest = divmod(milliseconds, 1000)
            if second != self._second:
                self._second = second
                self._until_second = time.strftime("%Y-%m-%d %H:%M:%S.", time.localtime(second))
            self._text = f"{self._until_second}{rest:03d}"
        return self._text
