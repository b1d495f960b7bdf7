"""What a run has done, by event and by rule, added up over its reloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counts:
    """What happened to one event's records in the kernel: seen = filtered + sent + lost."""

    seen: int = 0
    filtered: int = 0
    sent: int = 0
    lost: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(own + others for own, others in zip(self.row, other.row, strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(own - others for own, others in zip(self.row, other.row, strict=True)))

    @property
    def row(self) -> tuple[int, ...]:
        """Return the counters in the order of `struct counts` (templates/bpf/body.c.j2)."""
        return self.seen, self.filtered, self.sent, self.lost


@dataclass
class Summary:
    """What a run has done; `levels` are those of alerts that were reached, and all below."""

    counts: dict[str, Counts] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    cut: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    """Events that were counted by their keys; those are there that are counted, if by 0."""
    unfitted: Counter[str] = field(default_factory=Counter)
    """Events that were not, since there were too many keys."""
    alerts: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    """Alerts that were held back, by rule: `at_most`."""
    evicted: Counter[str] = field(default_factory=Counter)
    """Windows and sequences that were forgotten before their time, by rule: there were too many."""
    open_answers: Counter[str] = field(default_factory=Counter)
    cut_and_filtered: Counter[str] = field(default_factory=Counter)
    """Events that the kernel filtered although the end of a cut text might have kept them."""
    unpaired: Counter[str] = field(default_factory=Counter)
    """Calls without what their entry tells: how long they took, what they close."""
    levels: set[str] = field(default_factory=set)
    misses: Counter[str] = field(default_factory=Counter)
    """How often the kernel has not called a hook, by event, or by tracepoint of several events."""
    ring_wanted: int = 0
    """Bytes of a ring that would have held what was lost at the worst; 0 where nothing was."""
    unfinished: int = 0
    """Requests of io_uring that had not ended when etracee did."""
    abi_programs: int = 0
    """32-bit programs that were started, of whose calls nothing was told."""
    abi_execs: int = 0
    """Programs that 32-bit calls have started of which nothing was told."""
    strays: int = 0
    """Events that came when the program they were of had long been replaced."""
    forgotten: int = 0
    """Processes that had ended and were forgotten before their time, since they were too many."""
    left_over: int = 0
    """Events and counts behind the last one that a limit let through."""
    dropped: tuple[tuple[str, Mapping[str, int]], ...] = ()
    """Names of sinks, and how many events, alerts and losses they did not deliver."""

    @property
    def lost(self) -> int:
        """Return all that was lost."""
        lost = sum(counts.lost for counts in self.counts.values())
        return lost + self.unfitted.total() + self.misses.total() + self.strays

    def add(self, other: Summary) -> None:
        """Add what `other` has done to this."""
        for name, counts in other.counts.items():
            self.counts[name] = self.counts.get(name, Counts()) + counts
        self.delivered |= other.delivered
        self.cut.update(other.cut)
        self.rejected.update(other.rejected)
        self.counted.update(other.counted)
        self.unfitted.update(other.unfitted)
        self.alerts.update(other.alerts)
        self.open_answers.update(other.open_answers)
        self.cut_and_filtered.update(other.cut_and_filtered)
        self.unpaired.update(other.unpaired)
        self.levels |= other.levels
        self.misses.update(other.misses)
        self.unfinished += other.unfinished
        self.abi_programs += other.abi_programs
        self.abi_execs += other.abi_execs
        self.strays += other.strays
        self.left_over += other.left_over
