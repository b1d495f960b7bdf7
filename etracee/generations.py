"""The program that runs, and those before it of which something may still come.

A reload puts the functions of a new program into the slots, between one call and the next. What
the old one has sent lies in the ring still; an execve that began under it is finished by it; its
counters count on until then. So it stays for a while, and goes when nothing can come any more.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from types import ModuleType

from etracee.clock import Clock
from etracee.counting import tell_counts
from etracee.decoding import Decoder, Reader
from etracee.engine.actions import Killer
from etracee.engine.alerts import Engine
from etracee.enrich import Host
from etracee.event import LEVELS, Count
from etracee.kernel.bpf import Map
from etracee.runtime.loaded import SHARED_MAPS, Loaded, Running, close, shared_maps
from etracee.runtime.ring import Ring
from etracee.runtime.slots import Slots
from etracee.runtime.tallies import Tallies
from etracee.summary import Counts, Summary

_GRACE = 1.0
"""Seconds within which what had begun to run in the kernel has ended."""
_PATIENCE = 60.0
"""Seconds that an execve may take, from before a reload, and still be reported."""
_FINISHERS = {"sched_process_exec": "previous", "io_uring_completed": "previous_requests"}
"""The functions that finish what was begun under the program before, and their maps of its own."""
_TREE = "process tree"
"""What a descendant that could not be followed is counted as."""
_FIRST = bytes(4)
"""The key of a map's only element."""


class Generation:
    """One program: its counters in the kernel, its decoder, its rules."""

    def __init__(self, loaded: Loaded, module: ModuleType, clock: Clock) -> None:
        self.number = loaded.generation
        self.decoder = Decoder(module)
        killer = Killer() if self.decoder.allows_actions else None
        self.engine = Engine(self.decoder.rules, self.decoder.shown, killer)
        shared = shared_maps(loaded.places)
        self.maps = {name: fd for name, fd in loaded.maps.items() if name not in shared}
        self.finishers = {f: fd for f, fd in loaded.programs.items() if f in _FINISHERS}
        self._counts = Map.of(self.maps["counts"], per_cpu=True)
        self._lost: Counter[str] = Counter()
        self._tallies = Tallies(self.maps) if self.decoder.counted else None
        self._counted: Counter[str] = Counter()
        self._cut: Counter[str] = Counter()
        self._clock, self._counted_until = clock, clock.now()
        self._unfitted_seen: Counter[str] = Counter()

    def read_counts(self) -> dict[str, Counts]:
        """Return the kernel's counters, added up over the processors."""
        totals = {}
        for name, raw in zip([*self.decoder.names, _TREE], self._counts.read_array(), strict=True):
            columns = zip(*struct.iter_unpack("<4Q", raw), strict=True)
            totals[name] = Counts(*map(sum, columns))
        if not totals[_TREE].lost:
            del totals[_TREE]
        return totals

    def _read_by_event(self, counter: str) -> dict[str, int]:
        """Return a counter of the kernel's by event; nothing where the program has none."""
        if counter not in self.maps:
            return {}
        values = Map.of(self.maps[counter], per_cpu=True).read_array()
        totals = {
            name: sum(count for (count,) in struct.iter_unpack("<Q", raw))
            for name, raw in zip(self.decoder.names, values, strict=False)
        }
        return {name: total for name, total in totals.items() if total}

    def find_refused(self) -> dict[str, int]:
        """Return, by event, how many the kernel could not send since the last time."""
        lost = Counter({name: counts.lost for name, counts in self.read_counts().items()})
        new = lost - self._lost
        self._lost = lost
        return new

    def find_unfitted(self) -> dict[str, int]:
        """Return, by event, how many found no room to be counted since the last time.

        Rules have seen these.
        """
        new = self._read_unfitted() - self._unfitted_seen
        self._unfitted_seen += new
        return new

    def take_counts(self) -> list[Count]:
        """Return what was counted since the last time."""
        if self._tallies is None:
            return []
        start, self._counted_until = self._counted_until, self._clock.now()
        taken = self._tallies.take()
        counts = tell_counts(self.decoder.keys, taken, start, self._counted_until)
        for count in counts:
            self._counted[count.event] += count.count
            if count.truncated:
                self._cut[count.event] += count.count
        return counts

    def _read_unfitted(self) -> Counter[str]:
        """Return, by event, how many have found no room to be counted."""
        if self._tallies is None:
            return Counter()
        names = enumerate(self.decoder.names)
        return Counter({name: self._tallies.read_unfitted(index) for index, name in names})

    def summarize(self) -> Summary:
        """Return what has happened to this program's events."""
        decoder = self.decoder
        rules = [rule.id for rule in self.engine.rules]
        answers = zip([*rules, "filters"], decoder.open_answers, strict=True)
        delivered = {*compress(decoder.names, decoder.delivered), *decoder.counted}
        summary = Summary(self.read_counts(), delivered)
        summary.counted.update({name: self._counted[name] for name in decoder.counted})
        summary.unfitted.update(self._read_unfitted())
        summary.cut.update(self._cut)
        summary.cut.update(dict(zip(decoder.names, decoder.cut, strict=True)))
        summary.rejected.update(dict(zip(decoder.names, decoder.rejected, strict=True)))
        summary.open_answers.update({name: count for name, count in answers if count})
        summary.cut_and_filtered.update(self._read_by_event("left_open"))
        summary.unpaired.update(self._read_by_event("unpaired"))
        summary.unfinished = self._count_requests()
        summary.abi_programs = self._count("abi_programs")
        summary.abi_execs = self._count("abi_execs")
        return summary

    @property
    def has_pending_calls(self) -> bool:
        """Say whether an execve or a request that began under this program may not have ended.

        An execve that failed under the next program is still there, mostly of a thread that has
        ended.
        """
        if self._count_requests():
            return True
        if "pending" not in self.maps:
            return False
        pending = Map.of(self.maps["pending"])
        calls = (pending.lookup(key) for key in list(pending.iterate_keys()))
        threads = (int.from_bytes(call[:8], "little") for call in calls if call is not None)
        return any(Path(f"/proc/{thread}").exists() for thread in threads)

    def _count_requests(self) -> int:
        """Return how many requests of io_uring have not ended yet."""
        if "requests" not in self.maps:
            return 0
        requests = Map.of(self.maps["requests"])
        kept = (requests.lookup(key) for key in list(requests.iterate_keys()))
        return sum(raw is not None and not _is_told(raw) for raw in kept)

    def _count(self, counter: str) -> int:
        """Return the one value of a counter of the kernel's; 0 where the program has none."""
        if counter not in self.maps:
            return 0
        raw = Map.of(self.maps[counter], per_cpu=True).lookup(_FIRST) or b""
        return sum(count for (count,) in struct.iter_unpack("<Q", raw))

    def follow(self, old: Generation) -> None:
        """Let this program ask `old` for what began before it was there."""
        for function in self.finishers.keys() & old.finishers.keys():
            previous = Map.of(self.maps[_FINISHERS[function]])
            previous.update(_FIRST, struct.pack("<I", old.finishers[function]))

    def forget_told_requests(self) -> None:
        """Let go of requests that are kept only in case that they fail: such a one is lost then.

        The program after this one does not see when the kernel uses their memory for others.
        """
        if "requests" not in self.maps:
            return
        requests = Map.of(self.maps["requests"])
        told = [key for key in requests.iterate_keys() if _is_told(requests.lookup(key) or b"")]
        for key in told:
            with contextlib.suppress(FileNotFoundError):  # it has failed meanwhile
                requests.delete(key)

    def forget_previous(self) -> None:
        """Let go of the program before: what began under it counts as lost from now on."""
        for name in _FINISHERS.values():
            if name in self.maps:
                os.close(self.maps.pop(name))

    def close(self) -> None:
        """Let go of the program's maps."""
        for descriptor in self.maps.values():
            os.close(descriptor)
        for descriptor in self.finishers.values():
            os.close(descriptor)

    def blind_rules(self, name: str) -> tuple[str, ...]:
        """Return the rules that did not see what was lost.

        A descendant is lost to all, and so is what may have been any event of a tracepoint.
        """
        rules = [rule.id for rule in self.engine.rules]
        if name not in self.decoder.names:
            return tuple(rules)
        watching = self.decoder.rules_by_event[self.decoder.names.index(name)]
        return tuple(rules[index] for index in watching)


@dataclass
class _Leaving:
    """A program that was replaced at `since`; `end` is up to where its records may lie."""

    generation: Generation
    heir: Generation
    since: float
    end: int | None = None


class Generations:
    """All programs of a run, the first of which is given."""

    def __init__(
        self, loaded: Loaded, module: ModuleType, clock: Clock, *, as_lines: bool = False
    ) -> None:
        """Put the program into its slots; OSError when the kernel refuses that.

        With `as_lines`, events are delivered as lines of JSON.
        """
        self._clock = clock
        self.current = Generation(loaded, module, clock)
        self.shared = {name: fd for name, fd in loaded.maps.items() if name in SHARED_MAPS}
        events = Map.of(self.shared["events"])
        self.ring = Ring(events.fd, events.max_entries)
        self.reader = Reader(clock, Host(), as_lines=as_lines)
        self.slots = Slots()
        self._engines: dict[int, Engine] = {}
        self._speaking = self.current.engine
        self._heirs: list[int] = []
        self._leaving: list[_Leaving] = []
        self._gone = Summary()
        self._left_counts: list[Count] = []
        self._attach, self._typed_loads = loaded.attach, loaded.typed_loads
        self._enter(self.current, loaded)

    @property
    def running(self) -> Running:
        """Return what the next program must fit to."""
        number = (self.current.number + 1) & 0xFFFF
        maps = self.shared | self.slots.arrays
        return Running(number, maps, self.slots.attached, self._attach, self._typed_loads)

    def switch(self, loaded: Loaded, module: ModuleType) -> None:
        """Let a new program run in place of the current one.

        OSError when the kernel refuses it; the current one runs on then.
        """
        new, old = Generation(loaded, module, self._clock), self.current
        try:
            new.follow(old)
            self._enter(new, loaded)
        except OSError:
            close(loaded)
            raise
        self.shared |= {name: fd for name, fd in loaded.maps.items() if name in SHARED_MAPS}
        old.forget_told_requests()
        self._heirs.append(new.number)
        self._leaving.append(_Leaving(old, new, time.monotonic()))
        self.current = new
        self.look_around()

    def look_around(self) -> None:
        """See which processes there are, if anybody asks; their events come already."""
        if self.current.decoder.asks_for_processes:
            self.reader.host.processes.scan()

    def engine_of(self, number: int) -> Engine:
        """Return the rules for events of a program.

        Those of a new program begin with its first event, and take over from those before.
        """
        while number in self._heirs:
            self._hand_over()
        return self._engines[number]

    def live(self) -> Iterator[Generation]:
        """Yield the programs that something may still come of, the oldest first."""
        yield from (leaving.generation for leaving in self._leaving)
        yield self.current

    def take_counts(self) -> list[Count]:
        """Return what all programs have counted since the last time, the oldest first."""
        left, self._left_counts = self._left_counts, []
        return left + [count for each in self.live() for count in each.take_counts()]

    def retire(self) -> None:
        """Let go of old programs of which nothing can come any more, the oldest first.

        A later one leads from the current one to those before it.
        """
        for leaving in self._leaving[:]:
            age = time.monotonic() - leaving.since
            if leaving.end is not None:
                if age > _GRACE and self.ring.consumed >= leaving.end:
                    self._let_go(leaving)
            elif age > _PATIENCE or (age > _GRACE and not leaving.generation.has_pending_calls):
                leaving.heir.forget_previous()
                leaving.since, leaving.end = time.monotonic(), self.ring.produced
            else:
                return

    def summarize(self) -> Summary:
        """Return what all programs together have done."""
        summary = Summary(misses=self.slots.misses, strays=self.reader.strays)
        summary.add(self._gone)
        summary.forgotten = self.reader.host.processes.evicted
        summary.alerts.update(self._speaking.fired)
        summary.suppressed.update(self._speaking.suppressed)
        summary.evicted.update(self._speaking.evicted)
        for generation in self.live():
            summary.add(generation.summarize())
            summary.levels |= _levels_of(generation.engine)
        return summary

    def _enter(self, generation: Generation, loaded: Loaded) -> None:
        self.slots.fill(loaded)
        self.reader.add(generation.number, generation.decoder)
        self._engines[generation.number] = generation.engine
        for function, descriptor in loaded.programs.items():
            if function not in _FINISHERS:
                os.close(descriptor)

    def _hand_over(self) -> None:
        heir = self._engines[self._heirs.pop(0)]
        heir.take_over(self._speaking)
        self._speaking = heir

    def _let_go(self, leaving: _Leaving) -> None:
        number = leaving.generation.number
        if self._engines[number] is self._speaking:
            self._hand_over()
        self._left_counts += leaving.generation.take_counts()
        self._gone.add(leaving.generation.summarize())
        self._gone.levels |= _levels_of(leaving.generation.engine)
        self._leaving.remove(leaving)
        self.reader.remove(number)
        del self._engines[number]
        leaving.generation.close()


def _is_told(request: bytes) -> bool:
    """Say whether a request is kept only in case that it fails: templates/bpf/requests.c.j2."""
    return any(request[:8])


def _levels_of(engine: Engine) -> set[str]:
    return {level for level in LEVELS if engine.has_reached(level)}
