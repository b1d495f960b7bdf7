"""A forecast as a table for people, and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from etracee.bench.forecast import EventForecast, Forecast

_HEADS = (
    ("", "event"),
    ("seen", "/s"),
    ("sent", "/s"),
    ("peak", "/s"),
    ("ring", "B/s"),
    ("JSON", "B/s"),
    ("hooks", "of host"),
    ("own", "ns"),
    ("own", "of a CPU"),
)

_NAMED = 10
"""Events that are named of those that were not met."""


def render_forecast_json(forecast: Forecast) -> str:
    """Return one object; the names of its keys carry the units."""
    return json.dumps(asdict(forecast), indent=2) + "\n"


def render_forecast(forecast: Forecast) -> str:
    """Return what was seen and what is to be expected, as a table and sentences."""
    rows = [list(column) for column in zip(*_HEADS, strict=True)]
    met = [event for event in forecast.events if event.seen_per_second]
    rows += [_row(event) for event in sorted(met, key=lambda event: -event.seen_per_second)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_align(row, widths) for row in rows]
    unseen = [event.name for event in forecast.events if not event.seen_per_second]
    if unseen:
        more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
        lines.append(f"not met: {', '.join(unseen[:_NAMED])}{more}")
    return "\n".join([_describe(forecast), "", *lines, "", *_explain(forecast)]) + "\n"


def _describe(forecast: Forecast) -> str:
    return (
        f"profile {forecast.profile} on Linux {forecast.kernel}, {forecast.processors} processors: "
        f"counted for {forecast.seconds:.1f} s, in ticks of {forecast.tick_seconds * 1e3:.0f} ms"
    )


def _row(event: EventForecast) -> list[str]:
    return [
        event.name,
        _rate(event.seen_per_second),
        _rate(event.sent_per_second),
        _rate(event.peak_sent_per_second),
        _rate(event.ring_bytes_per_second),
        _rate(event.written_bytes_per_second),
        _share(event.hook_share_of_host),
        f"{event.own_ns:,.0f}" if event.own_ns is not None else "-",
        _share(event.own_share_of_processor),
    ]


def _explain(forecast: Forecast) -> Iterator[str]:
    yield f"programs at the hooks: {_share(forecast.hooks_share_of_host)} of the host"
    yield _explain_calls(forecast)
    yield (
        f"etracee's process: {_share(forecast.own_share_of_processor)} of a processor, "
        f"{_share(forecast.own_share_of_processor_at_peak)} in the busiest tick"
    )
    ring = forecast.ring
    yield (
        f"ring of {ring.size_bytes / 2**20:g} MiB: {_share(ring.peak_occupancy)} full at most, "
        f"{_share(ring.lost_share)} of the events lost"
    )
    if ring.seconds_to_fill is not None:
        yield (
            f"if the peak of {ring.peak_bytes_per_second:,.0f} B/s lasts: "
            f"{_share(ring.lost_share_at_peak)} lost; "
            f"the ring fills in {ring.seconds_to_fill:,.1f} s while nothing is read"
        )


def _explain_calls(forecast: Forecast) -> str:
    paid = f"every call, watched or not, pays {forecast.call_ns:.0f} ns for the hooks being there"
    if forecast.calls_per_second is None:
        return f"{paid}; how many there are is unknown"
    share = _share(forecast.calls_share_of_host)
    return f"{paid}: with {_rate(forecast.calls_per_second)} calls/s, {share} of the host"


def _share(share: float | None) -> str:
    if share is None:
        return "unknown"
    return f"{share:.4%}" if 0 < share < 0.0001 else f"{share:.2%}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or not rate else f"{rate:.1f}"


def _align(row: list[str], widths: list[int]) -> str:
    cells = [
        c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
