"""Join the two halves: the program in the kernel, and what happens to its events."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress

from etracee.clock import Clock
from etracee.command import Command
from etracee.decoding import Decoder
from etracee.engine.alerts import Engine
from etracee.event import Item, Loss
from etracee.kernel.bpf import Map, recursion_misses
from etracee.runtime.handover import Loaded
from etracee.runtime.ring import Ring
from etracee.sinks.base import Sink, SinkClosedError

_BUSY_TICK, _IDLE_TICK = 0.005, 0.05
"""Seconds between looks at the ring: what arrives waits no longer than the second."""
_BATCH = 1 << 16
"""Bytes that are decoded at once; batches of 16 to 64 KiB stay in the cache."""
_LOSS_INTERVAL = 1.0
"""Seconds between looks at the kernel's counters of losses."""
_TREE = "process tree"
"""What a descendant that could not be followed is counted as."""


@dataclass(frozen=True)
class Counts:
    """What happened to one event's records in the kernel: seen = filtered + sent + lost."""

    seen: int = 0
    filtered: int = 0
    sent: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Limits:
    """When to end by itself: seconds, delivered items."""

    duration: float | None = None
    count: int | None = None


@dataclass
class Summary:
    """What a run has done, by event."""

    counts: dict[str, Counts]
    delivered: tuple[str, ...]
    cut: dict[str, int]
    rejected: dict[str, int]
    alerts: dict[str, int]
    open_answers: dict[str, int]
    misses: int = 0
    left_over: int = 0
    """Events that were decoded behind the last one that a limit let through."""

    @property
    def lost(self) -> int:
        """Return all that was lost."""
        return sum(counts.lost for counts in self.counts.values()) + self.misses


@dataclass
class Monitor:
    """Runs until its limits, a signal, a closed sink or the end of the command."""

    loaded: Loaded
    decoder: Decoder
    clock: Clock
    engine: Engine
    sinks: Sequence[Sink]
    limits: Limits
    command: Command | None = None
    delivered: int = 0
    interrupted: bool = False
    failure: str | None = None
    _stopping: bool = False
    _left_over: int = 0
    _lost: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        events = Map.of(self.loaded.maps["events"])
        self._ring = Ring(events.fd, events.max_entries)
        self._counts = Map.of(self.loaded.maps["counts"], per_cpu=True)
        self._loss_seen = self._now()
        self._attached = self.loaded.attached

    def run(self) -> Summary:
        """Let events in, deliver them until the end, detach, drain, and say what was done."""
        with _wake_on_signals() as signals:
            self._open_gate()
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
        return self._summary()

    def _open_gate(self) -> None:
        if self.command is None:
            config = Map.of(self.loaded.maps["config"])
            config.update(bytes(4), struct.pack("<II", os.getpid(), 1))
            return
        tracked = Map.of(self.loaded.maps["tracked"])
        tracked.update(struct.pack("<I", self.command.pid), bytes(4))
        self.command.release()

    def _loop(self, signals: int) -> None:
        end = time.monotonic() + self.limits.duration if self.limits.duration is not None else None
        next_loss = time.monotonic() + _LOSS_INTERVAL
        while not self._stopping:
            found = self._tick()
            now = time.monotonic()
            if now >= next_loss:
                next_loss = now + _LOSS_INTERVAL
                self.clock.adjust()
                self._report_losses()
            if (end is not None and now >= end) or self._command_is_done():
                return
            wait = _BUSY_TICK if found else _IDLE_TICK
            if select.select([signals], [], [], min(wait, end - now) if end is not None else wait)[
                0
            ]:
                self._stop(os.read(signals, 64))

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

    def _command_is_done(self) -> bool:
        """Say whether the command and all its descendants have ended."""
        if self.command is None or not self.command.poll():
            return False
        own = struct.pack("<I", self.command.pid)  # stays if it ended before it was tracked
        tracked = Map.of(self.loaded.maps["tracked"])
        return all(key == own for key in tracked.iterate_keys())

    def _tick(self) -> int:
        """Deliver what lies in the ring, a batch of it; return how many records there were."""
        before = sum(self.decoder.received)
        found = self.decoder.read(self._ring.data, self._ring.records(_BATCH))
        items: list[Item] = []
        for number, (event, is_delivered, fired) in enumerate(found, 1):
            if is_delivered:
                items.append(event)
            items += self.engine.alerts(event, fired)
            if self.limits.count and self.delivered + len(items) >= self.limits.count:
                items = items[: self.limits.count - self.delivered]
                self._stopping = True
                self._left_over = len(found) - number
                break
        self._deliver(items)
        return sum(self.decoder.received) - before

    def _deliver(self, items: Sequence[Item]) -> None:
        if items:
            self.delivered += len(items)
            for sink in self.sinks:
                sink.write(items)

    def _detach(self) -> None:
        if self.command is None:
            config = Map.of(self.loaded.maps["config"])
            config.update(bytes(4), struct.pack("<II", os.getpid(), 0))
        attached, self._attached = self._attached, ()
        for descriptor in attached:
            os.close(descriptor)

    def _drain(self) -> None:
        full = self.limits.count and self.delivered >= self.limits.count
        while not full and self._tick():
            pass
        self._report_losses()

    def _report_losses(self) -> None:
        """Deliver what was lost of each event since the last time."""
        start, self._loss_seen = self._loss_seen, self._now()
        for name, counts in self._read_counts().items():
            count = counts.lost - self._lost.get(name, 0)
            if count:
                self._lost[name] = counts.lost
                self._deliver([Loss(name, count, start, self._loss_seen, self._blind_rules(name))])

    def _blind_rules(self, name: str) -> tuple[str, ...]:
        """Return the rules that did not see what was lost; a lost descendant is lost to all."""
        rules = [rule.id for rule in self.engine.rules]
        if name == _TREE:
            return tuple(rules)
        watching = self.decoder.rules_by_event[self.decoder.names.index(name)]
        return tuple(rules[index] for index in watching)

    def _now(self) -> str:
        return str(time.monotonic_ns() + self.clock.offset)

    def _read_counts(self) -> dict[str, Counts]:
        """Return the kernel's counters, added up over the processors."""
        totals = {}
        names = [*self.decoder.names, _TREE]
        for index, name in enumerate(names):
            raw = self._counts.lookup(struct.pack("<I", index)) or b""
            numbers = list(struct.iter_unpack("<4Q", raw))
            totals[name] = Counts(*(sum(column) for column in zip(*numbers, strict=True)))
        if not totals[_TREE].lost:
            del totals[_TREE]
        return totals

    def _summary(self) -> Summary:
        rules = [rule.id for rule in self.engine.rules]
        answers = zip([*rules, "filters"], self.decoder.open_answers, strict=True)
        misses = 0
        for descriptor in self.loaded.programs:
            with contextlib.suppress(OSError):
                misses += recursion_misses(descriptor)
        return Summary(
            counts=self._read_counts(),
            delivered=tuple(compress(self.decoder.names, self.decoder.delivered)),
            cut=dict(zip(self.decoder.names, self.decoder.cut, strict=True)),
            rejected=dict(zip(self.decoder.names, self.decoder.rejected, strict=True)),
            alerts=dict(self.engine.fired),
            open_answers={name: count for name, count in answers if count},
            misses=misses,
            left_over=self._left_over,
        )


_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def _wake_on_signals() -> Iterator[int]:
    """Yield a descriptor from which the numbers of signals can be read as they come."""
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    old_wakeup = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    old = {number: signal.signal(number, lambda *_: None) for number in (*_ENDING, signal.SIGCHLD)}
    try:
        yield readable
    finally:
        signal.set_wakeup_fd(old_wakeup)
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)
