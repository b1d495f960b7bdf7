"""Join the two halves: the program in the kernel, and what happens to its events."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etracee.clock import Clock
from etracee.command import Command
from etracee.decoding import Batch
from etracee.event import Alert, Item
from etracee.gate import HostGate, TreeGate
from etracee.generations import Generations
from etracee.losses import Losses
from etracee.reload import Reloader
from etracee.runtime.order import Order
from etracee.sinks.base import Sink, SinkClosedError
from etracee.sinks.queue import close_all
from etracee.summary import Summary

if TYPE_CHECKING:
    from etracee.runtime.compiler import Compiler

BUSY_TICK, IDLE_TICK = 0.005, 0.05
"""Seconds between looks at the ring: what arrives waits no longer than the second."""
_EAGER = 1.0
"""Seconds from the start on in which nothing waits longer than the first."""
_BATCH = 1 << 16
"""Bytes that are decoded at once; batches of 16 to 64 KiB stay in the cache."""
_KEPT_MEMORY = 1 << 22
"""Bytes that malloc(3) keeps for the next batch: made anew, the pages cost 100 ns an event."""
_LOSS_INTERVAL = 1.0
"""Seconds between looks at the kernel's counters of losses."""


@dataclass(frozen=True)
class Limits:
    """When to end by itself: seconds, delivered items.

    `every` are the seconds between counts, in place of what the profile says.
    """

    duration: float | None = None
    count: int | None = None
    every: float | None = None


@dataclass
class Monitor:
    """Runs until its limits, a signal, a closed sink or the end of the command."""

    generations: Generations
    order: Order
    clock: Clock
    sinks: Sequence[Sink]
    limits: Limits
    command: Command | None = None
    delivered: int = 0
    interrupted: bool = False
    failure: str | None = None
    _stopping: bool = False
    _left_over: int = 0

    def __post_init__(self) -> None:
        shared = self.generations.shared
        self._ring = self.generations.ring
        self._gate = TreeGate(shared, self.command) if self.command else HostGate(shared)
        self._reloader = Reloader(self.order, self.generations, self._gate)
        self._losses = Losses(self.generations, self.clock)
        self._next_count = time.monotonic() + self._count_interval
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as nohup(1) leaves it
        self._ends_with_terminal = _has_terminal() and not is_ignored

    def run(self, announce: Callable[[], None]) -> Summary:
        """Let events in, deliver them until the end, detach, drain, and say what was done.

        `announce` is called when nothing is missed any more, before a command does anything.
        """
        _keep_memory()
        with _wake_on_signals() as signals:
            for begin in (
                (announce, self._gate.open) if self.command else (self._gate.open, announce)
            ):
                begin()
            self.generations.look_around()
            try:
                self._loop(signals)
                self._detach()
                self._drain()
            except SinkClosedError as error:
                self.failure = error.reason
                self._detach()
            # A full disk of ours is no reason to end what the user runs.
            if self.command and not self.failure:
                self.command.send_signal(signal.SIGTERM)
            close_all(self.sinks)
        summary = self.generations.summarize()
        summary.left_over = self._left_over
        summary.ring_wanted = self._losses.ring_wanted
        summary.dropped = tuple((sink.name, sink.dropped) for sink in self.sinks if sink.dropped)
        return summary

    def _loop(self, signals: int) -> None:
        end = time.monotonic() + self.limits.duration if self.limits.duration is not None else None
        next_loss = time.monotonic() + _LOSS_INTERVAL
        eager_until = time.monotonic() + _EAGER
        while not self._stopping:
            found = self._tick()
            now = time.monotonic()
            if now >= next_loss:
                next_loss = now + _LOSS_INTERVAL
                self.clock.adjust()
                self._deliver(list(self._losses.find()))
                self.generations.retire()
            if now >= self._next_count:
                self._report_counts()
            self._reloader.begin()
            if (end is not None and now >= end) or self._gate.is_done():
                return
            is_busy = found or now < eager_until
            wait = 0 if found > _BATCH // 2 else BUSY_TICK if is_busy else IDLE_TICK
            self._wait(signals, min(wait, end - now) if end is not None else wait)

    def _wait(self, signals: int, seconds: float) -> None:
        """Wait, at most so long, for signals and for a reload to finish; do what they ask for."""
        sources: list[int | Compiler] = [signals, *self._reloader.waits_for]
        ready, _, _ = select.select(sources, [], [], seconds)
        if signals in ready:
            numbers = os.read(signals, 64)
            is_over = signal.SIGHUP in numbers and self._ends_with_terminal and not _has_terminal()
            self._stop(numbers + bytes([signal.SIGTERM]) if is_over else numbers)
            if signal.SIGHUP in numbers and not self._stopping:
                self._reload()
        elif ready:
            self._reloader.finish()
            self._next_count = 0.0

    def _reload(self) -> None:
        for sink in self.sinks:
            sink.reopen()
        self._reloader.ask()

    def _stop(self, numbers: bytes) -> None:
        """End on SIGINT and SIGTERM, the command too.

        A second signal ends the process at once, since it has no handler any more.
        """
        asked = [number for number in numbers if number in _ENDING]
        if not asked:
            return
        self._stopping = True
        self.interrupted = True
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        if self.command:
            self.command.send_signal(asked[0])

    def _tick(self) -> int:
        """Deliver what lies in the ring, a batch of it; return how many bytes there were."""
        window = self._ring.look(_BATCH)
        if window.at == window.end:
            return 0
        batch = self.generations.reader.read(window)
        self._ring.release(batch.size)
        self._deliver(self._cut_to_limit(self._add_alerts(batch)))
        return batch.size

    def _add_alerts(self, batch: Batch) -> Sequence[Item]:
        """Return what the batch delivers, alerts behind the events that they are for.

        What lies behind the last item that is delivered raises none.
        """
        if not batch.found:
            return batch.items
        items: list[Item] = []
        done = 0
        for found in batch.found:
            items += batch.items[done : found.after]
            done = found.after
            engine = self.generations.engine_of(found.generation)
            if self._is_full(len(items) - (found.after - found.before)):
                engine.tell_kills(found.fired)
            else:
                items += engine.alerts(found.event, found.fired)
        return items + batch.items[done:]

    def _is_full(self, more: int) -> bool:
        """Say whether no more than `more` are to be delivered."""
        return self.limits.count is not None and self.delivered + more >= self.limits.count

    def _cut_to_limit(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return what the limit lets through, and end where it is reached."""
        if self.limits.count is None or not self._is_full(len(items)):
            return items
        self._stopping = True
        room = self.limits.count - self.delivered
        self._left_over += sum(not isinstance(item, Alert) for item in items[room:])
        return items[:room]

    def _deliver(self, items: Sequence[Item]) -> None:
        if items:
            self.delivered += len(items)
            for sink in self.sinks:
                sink.write(items)

    def _detach(self) -> None:
        self._reloader.stop()
        self._gate.close()
        self.generations.slots.detach()

    def _drain(self) -> None:
        while self._tick():
            pass
        self._report_counts()
        self._deliver(list(self._losses.find(is_last=True)))

    @property
    def _count_interval(self) -> float:
        """Return the seconds between counts."""
        return self.limits.every or self.generations.current.decoder.count_every

    def _report_counts(self) -> None:
        """Deliver what was counted since the last time, as far as the limit allows."""
        counts = self.generations.take_counts()
        self._next_count = time.monotonic() + self._count_interval
        self._deliver(self._cut_to_limit(counts))


_ENDING = (signal.SIGINT, signal.SIGTERM)
_HEARD = (*_ENDING, signal.SIGHUP, signal.SIGCHLD)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def _keep_memory() -> None:
    """Let what a batch has taken lie ready for the next one, where the C library can do that."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(parameter, _KEPT_MEMORY)


def _has_terminal() -> bool:
    """Say whether a terminal controls the process: tty(4), which has no device otherwise."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _wake_on_signals() -> Iterator[int]:
    """Yield a descriptor from which the numbers of signals can be read as they come.

    SIGHUP may be blocked until then: a reload that is asked for early comes first.
    """
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    old_wakeup = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    old = {number: signal.signal(number, lambda *_: None) for number in _HEARD}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield readable
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.set_wakeup_fd(old_wakeup)
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)
