"""What a profile will cost a host, from what was counted there and what a sample cost to read."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from etracee.bench.own import EventCost, OwnCost
from etracee.bench.watch import Tick, Watched, Weighed
from etracee.catalog.costs import load_costs
from etracee.monitor import BUSY_TICK, IDLE_TICK
from etracee.plan import Plan
from etracee.plan.attach import choose_hooks


@dataclass(frozen=True)
class EventForecast:
    """One event: rates over the whole time, and the highest within one tick.

    `delivered_per_second` is what Python's part of the filters leaves of what is sent. Shares of
    the host are of all its processors, those of a processor of one. `own_ns` is None where the
    event is not in the sample: the mean of the others stands in for it then.
    """

    name: str
    seen_per_second: float
    sent_per_second: float
    delivered_per_second: float
    peak_sent_per_second: float
    ring_bytes_per_event: float
    ring_bytes_per_second: float
    written_bytes_per_second: float
    hook_share_of_host: float | None
    own_ns: float | None
    own_share_of_processor: float


@dataclass(frozen=True)
class RingForecast:
    """How full the ring gets, and what it loses.

    `peak_occupancy` is the share that is full at most, and `lost_share` the share of the bytes
    that find no room, when the ticks that were seen come again. `lost_share_at_peak` is that of a
    peak that lasts; `seconds_to_fill` is how long etracee may stand still then without a loss.
    """

    size_bytes: int
    peak_bytes_per_second: float
    peak_occupancy: float
    lost_share: float
    lost_share_at_peak: float
    seconds_to_fill: float | None


@dataclass(frozen=True)
class Forecast:
    """What `profile` will cost. Shares of the host are of all its processors, None if unknown.

    `hooks_share_of_host` is what the programs take, `calls_share_of_host` what calls pay because
    hooks are attached: `call_ns` whether they are watched or not, and if so what the tracepoint
    takes besides the program.
    """

    profile: str
    kernel: str
    processors: int
    seconds: float
    tick_seconds: float
    calls_per_second: float | None
    call_ns: float
    hooks_share_of_host: float | None
    calls_share_of_host: float | None
    own_share_of_processor: float
    own_share_of_processor_at_peak: float
    events: tuple[EventForecast, ...]
    ring: RingForecast


def make_forecast(plan: Plan, watched: Watched, own: OwnCost) -> Forecast:
    """Return the forecast for the plan of which `watched` has counted."""
    model = _Model(plan, watched, own)
    shares = [model.own_share(tick) for tick in watched.ticks]
    seconds, processors = watched.seconds, os.cpu_count() or 1
    weights = [tick.seconds / seconds for tick in watched.ticks]
    calls = watched.calls / seconds if watched.calls is not None else None
    hooks = model.hook_shares(processors)
    return Forecast(
        profile=plan.profile,
        kernel=platform.release(),
        processors=processors,
        seconds=seconds,
        tick_seconds=seconds / len(watched.ticks),
        calls_per_second=calls,
        call_ns=watched.call_ns,
        hooks_share_of_host=sum(hooks.values()) if hooks is not None else None,
        calls_share_of_host=model.calls_share(processors),
        own_share_of_processor=sum(s * w for s, w in zip(shares, weights, strict=True)),
        own_share_of_processor_at_peak=max(shares),
        events=tuple(model.event(index, hooks) for index in range(len(plan.events))),
        ring=model.ring(),
    )


class _Model:
    """The arithmetic of one forecast."""

    def __init__(self, plan: Plan, watched: Watched, own: OwnCost) -> None:
        self.plan, self.watched, self.own = plan, watched, own
        totals = zip(*(tick.events for tick in watched.ticks), strict=True)
        self.totals = [sum(column, Weighed()) for column in totals]
        costs = own.events.values()
        mean = sum(cost.ns for cost in costs) / len(costs) if costs else 0.0
        self.other = EventCost(mean, 0.0, 1.0)
        """What stands in for an event that the sample does not have."""

    def cost(self, index: int) -> EventCost:
        """Return what one event costs etracee's process."""
        return self.own.events.get(index, self.other)

    def event(self, index: int, hooks: Mapping[int, float] | None) -> EventForecast:
        """Return the forecast of one event."""
        total, seconds, cost = self.totals[index], self.watched.seconds, self.cost(index)
        sent = total.sent / seconds
        delivered = sent * cost.delivered if self.plan.events[index].delivered else 0.0
        return EventForecast(
            name=self.plan.events[index].name,
            seen_per_second=total.seen / seconds,
            sent_per_second=sent,
            delivered_per_second=delivered,
            peak_sent_per_second=max(t.events[index].sent / t.seconds for t in self.watched.ticks),
            ring_bytes_per_event=total.bytes / total.sent if total.sent else 0.0,
            ring_bytes_per_second=total.bytes / seconds,
            written_bytes_per_second=delivered * cost.written_bytes,
            hook_share_of_host=hooks[index] if hooks is not None else None,
            own_ns=cost.ns if index in self.own.events else None,
            own_share_of_processor=sent * cost.ns / 1e9,
        )

    def own_share(self, tick: Tick) -> float:
        """Return the share of a processor that etracee's process takes at the rates of a tick."""
        sent = sum(event.sent for event in tick.events)
        reading = sum(self.cost(i).ns * event.sent for i, event in enumerate(tick.events))
        looks, batches = _count_looks(sent / tick.seconds)
        looking = looks * self.own.tick_ns + batches * self.own.batch_ns
        return reading / tick.seconds / 1e9 + looking / 1e9

    def hook_shares(self, processors: int) -> dict[int, float] | None:
        """Return the share of the host that each event's hooks take, by its index.

        A hook of several events is divided among them as they were met.
        """
        if self.watched.hooks is None:
            return None
        spent = {runs.stub: runs.ns for runs in self.watched.hooks}
        stubs = [self._stubs_of(index) for index in range(len(self.totals))]
        met = {
            s: sum(1 + t.seen for t, of in zip(self.totals, stubs, strict=True) if s in of)
            for s in spent
        }
        scale, ring = 1e-9 / self.watched.seconds / processors, load_costs().ring
        return {
            index: scale
            * (
                sum(
                    spent[stub] * (1 + total.seen) / met[stub]
                    for stub in stubs[index] & spent.keys()
                )
                + total.sent * ring
            )
            for index, total in enumerate(self.totals)
        }

    def calls_share(self, processors: int) -> float | None:
        """Return the share of the host that calls pay for being hooked, besides the programs."""
        if self.watched.calls is None or self.watched.hooks is None:
            return None
        passed = self.watched.calls * self.watched.call_ns
        own = load_costs().hooks[self.plan.attach].own
        of_calls = {hook.stub for hook in self.plan.hooks if hook.edge and not hook.abi}
        passed += sum(own * runs.runs for runs in self.watched.hooks if runs.stub in of_calls)
        return passed / 1e9 / self.watched.seconds / processors

    def _stubs_of(self, index: int) -> set[str]:
        """Return what may be attached for an event; the kernel may lack some calls' functions."""
        event, catalog = (self.plan.events[index],), self.plan.catalog
        ways = (self.plan.attach, "tracepoint")
        hooks = (hook for way in ways for hook in choose_hooks(event, way, catalog, tree=False))
        return {hook.stub for hook in hooks}

    def ring(self) -> RingForecast:
        """Return what becomes of the ring: filled by the ticks, emptied as quickly as is read.

        etracee has a processor whenever it needs one, and looks at an empty ring every IDLE_TICK.
        """
        size = self.plan.options.ring_buffer
        left = lost = highest = arrived = 0.0
        for tick in self.watched.ticks:
            came = sum(event.bytes for event in tick.events)
            highest = max(
                highest, min(1.0, (left + came * min(1.0, IDLE_TICK / tick.seconds)) / size)
            )
            left = max(0.0, left + came - self._readable(tick))
            lost, left = lost + max(0.0, left - size), min(left, size)
            highest, arrived = max(highest, left / size), arrived + came
        peak = max(self.watched.ticks, key=_rate)
        can = self._readable(peak) / peak.seconds
        return RingForecast(
            size_bytes=size,
            peak_bytes_per_second=_rate(peak),
            peak_occupancy=highest,
            lost_share=lost / arrived if arrived else 0.0,
            lost_share_at_peak=max(0.0, 1 - can / _rate(peak)) if _rate(peak) else 0.0,
            seconds_to_fill=size / _rate(peak) if _rate(peak) else None,
        )

    def _readable(self, tick: Tick) -> float:
        """Return the bytes of the ring that etracee can read in a tick, of such events."""
        came = sum(event.bytes for event in tick.events)
        needed = sum(self.cost(i).ns * event.sent for i, event in enumerate(tick.events)) / 1e9
        return came * tick.seconds / needed if needed else math.inf


def _rate(tick: Tick) -> float:
    return sum(event.bytes for event in tick.events) / tick.seconds


def _count_looks(rate: float) -> tuple[float, float]:
    """Return how often a second etracee looks at the ring, and how often it finds something.

    After a look that finds something it waits BUSY_TICK, after others IDLE_TICK; events come at
    `rate` a second, independently of each other.
    """
    busy, idle = -math.expm1(-rate * BUSY_TICK), -math.expm1(-rate * IDLE_TICK)
    finding = idle / (1 - busy + idle)
    looks = 1 / (finding * BUSY_TICK + (1 - finding) * IDLE_TICK)
    return looks, looks * finding
