"""A receiver behind a bounded queue and a thread, so that a slow one holds nobody up."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import islice

from etracee.event import Alert, Count, Item, Loss
from etracee.problems import tell
from etracee.sinks.base import Outlet, RefusedError, Sink, UnreachableError

ROOM = 8 << 20
"""Bytes of messages that may wait. Events get three quarters, so that alerts find room."""
_NOTE_INTERVAL = 5.0
"""Seconds between notes on what was dropped."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between tries, which double."""
_PATIENCE = 5.0
"""Seconds that all sinks together have at the end."""
_ALWAYS = (Alert, Loss)
"""What a sink gets that takes no events."""
_NAMES: dict[type, str] = {Alert: "alerts", Loss: "losses", Count: "counts"}
_ONE = {"events": "event", "alerts": "alert", "losses": "loss", "counts": "count"}


class QueuedSink(Sink):
    """Hands messages to an outlet in a thread; what finds no room is dropped and counted.

    What waits is older than what is dropped, and stays. A message that may have been delivered,
    but was not confirmed, counts as dropped. The thread begins with the first message, so that
    there is none while the compiling process is forked at the start.
    """

    def __init__(self, name: str, outlet: Outlet, takes_events: bool) -> None:
        self.name = name
        self._outlet = outlet
        self._takes_events = takes_events
        self._queue: deque[tuple[Counter[str], bytes]] = deque()
        self._waiting = 0
        self._dropped: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._must_reopen = False
        self._deadline: float | None = None
        self._has_given_up = False
        self._in_flight = 0
        self._failures = 0
        self._next_note = 0.0

    @property
    def takes_lines(self) -> bool:
        """Say whether events may come as lines, or not at all."""
        return self._outlet.takes_lines or not self._takes_events

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return how many events, alerts and losses were not delivered, or not confirmed."""
        with self._changed:
            return dict(self._dropped)

    def write(self, items: Sequence[Item]) -> None:
        """Queue what this sink wants of `items`; never blocks."""
        wanted = items if self._takes_events else _without_events(items)
        messages = []
        dropped: Counter[str] = Counter()
        waiting = self._waiting
        for start in range(0, len(wanted), self._outlet.items_per_message):
            group = wanted[start : start + self._outlet.items_per_message]
            fitting = _choose_fitting(group, waiting)
            if len(fitting) < len(group):
                dropped += _count(group) - _count(fitting)
            if fitting:
                message = self._outlet.encode(fitting)
                messages.append((_count(fitting), message))
                waiting += len(message)
        if messages:
            self._queue_up(messages)
        if dropped:
            self._drop(dropped)
            self._note_drops()

    def reopen(self) -> None:
        """Let the thread reopen the outlet, before anything that comes from now on."""
        with self._changed:
            self._must_reopen = True
            self._start()
            self._changed.notify()

    def finish(self, deadline: float) -> None:
        with self._changed:
            self._deadline = deadline
            self._changed.notify()

    def close(self) -> None:
        """Wait for the thread until the deadline; what it has not delivered then is dropped."""
        if self._thread is None:
            self._outlet.close()
        elif self._deadline is not None:
            self._thread.join(max(0.0, self._deadline - time.monotonic()))
        with self._changed:
            self._has_given_up = True
            for counts, _ in self._queue:
                self._dropped.update(counts)
            self._queue.clear()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=self.name[:15], daemon=True)
            # Where the host allows no more threads, the next message tries again.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _queue_up(self, messages: Sequence[tuple[Counter[str], bytes]]) -> None:
        with self._changed:
            self._queue.extend(messages)
            self._waiting += sum(len(message) for _, message in messages)
            self._start()
            self._changed.notify()

    def _drop(self, dropped: Counter[str]) -> None:
        with self._changed:
            self._dropped.update(dropped)

    def _note_drops(self) -> None:
        now = time.monotonic()
        if now >= self._next_note:
            self._next_note = now + _NOTE_INTERVAL
            tell(f"etracee: {self.name} has a full queue, dropped so far: {describe(self.dropped)}")

    def _work(self) -> None:
        while self._await_work():
            try:
                self._reopen_if_asked()
                self._send_batch()
            except UnreachableError as error:
                self._pause_after(error)
        self._outlet.close()

    def _await_work(self) -> bool:
        """Wait until there is something to do; False at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._queue or self._must_reopen or self._deadline is not None
            )
            return bool(self._queue or self._must_reopen) and not self._has_given_up

    def _reopen_if_asked(self) -> None:
        with self._changed:
            asked, self._must_reopen = self._must_reopen, False
        if asked:
            self._outlet.reopen()

    def _send_batch(self) -> None:
        """Send the first messages; they stay in the queue until they are delivered.

        The next try sends the same ones, so that a receiver can know a batch that comes twice.
        """
        batch = self._first_messages()
        self._in_flight = len(batch)
        try:
            done = self._outlet.send(batch) if batch else 0
        except RefusedError as error:
            done = self._failures = 0
            refused = self._remove(len(batch))
            self._drop(refused)
            if refused:
                tell(f"etracee: {self.name} {error}; dropped: {describe(refused)}")
        self._in_flight = 0
        self._remove(done)
        if done and self._failures:
            self._failures = 0
            tell(f"etracee: {self.name} takes messages again")

    def _first_messages(self) -> list[bytes]:
        with self._changed:
            if self._in_flight:
                return [message for _, message in islice(self._queue, self._in_flight)]
            batch: list[bytes] = []
            size = 0
            for _, message in islice(self._queue, self._outlet.batch_messages):
                size += len(message)
                if batch and size > self._outlet.batch_bytes:
                    break
                batch.append(message)
            return batch

    def _remove(self, count: int) -> Counter[str]:
        """Take the first messages off the queue; return what they were, unless given up."""
        removed: Counter[str] = Counter()
        with self._changed:
            for _ in range(min(count, len(self._queue))):
                counts, message = self._queue.popleft()
                removed.update(counts)
                self._waiting -= len(message)
        return removed

    def _pause_after(self, error: UnreachableError) -> None:
        """Wait before the next try, at the end no longer than there is time."""
        if not self._failures and not self._has_given_up:
            tell(f"etracee: {self.name} {error}; trying again")
        pause = _draw_pause(self._failures) if error.wait is None else error.wait
        until = time.monotonic() + pause
        self._failures += 1
        with self._changed:
            while not self._must_reopen and (left := until - time.monotonic()) > 0:
                if self._deadline is None:
                    self._changed.wait(left)
                elif error.wait is None:
                    self._changed.wait(min(left, _FIRST_PAUSE))
                    return
                elif until < self._deadline:
                    self._changed.wait(left)
                else:
                    self._has_given_up = True
                    return


def close_all(sinks: Sequence[Sink]) -> None:
    """Deliver what waits in all sinks, in a few seconds at most."""
    deadline = time.monotonic() + _PATIENCE
    for sink in sinks:
        sink.finish(deadline)
    for sink in sinks:
        sink.close()


def describe(dropped: Mapping[str, int]) -> str:
    """Return the counts as words."""
    return ", ".join(
        f"{count} {name if count != 1 else _ONE[name]}" for name, count in dropped.items()
    )


def _choose_fitting(items: Sequence[Item], waiting: int) -> Sequence[Item]:
    """Return those of `items` that find room when so many bytes wait."""
    if waiting < ROOM * 3 // 4:
        return items
    return _without_events(items) if waiting < ROOM else ()


def _without_events(items: Sequence[Item]) -> Sequence[Item]:
    return [item for item in items if isinstance(item, _ALWAYS)]


def _count(items: Sequence[Item]) -> Counter[str]:
    return Counter(_NAMES.get(type(item), "events") for item in items)


def _draw_pause(failures: int) -> float:
    """Return seconds, at random, so that many hosts do not come back at once."""
    longest = min(_FIRST_PAUSE * 2 ** min(failures, 10), _LONGEST_PAUSE)
    return random.uniform(longest / 2, longest)  # noqa: S311 - nothing secret depends on it
