"""`etracee bench --forecast`: the arithmetic, and the forms of output; no kernel is needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from etracee.bench.compare import read_report
from etracee.bench.forecast import Forecast, make_forecast
from etracee.bench.forecast_report import render_forecast, render_forecast_json
from etracee.bench.own import EventCost, OwnCost
from etracee.bench.watch import HookRuns, Tick, Watched, Weighed, split_sample
from etracee.monitor import BUSY_TICK, IDLE_TICK
from etracee.plan import Plan, Request, attach_by, make_plan
from etracee.problems import ProblemsError
from etracee.source_set import load_source_set

EXECVE, OPENAT, CONNECT, EXIT = range(4)
NOTHING = (Weighed(),) * 4


@pytest.fixture(scope="module")
def plan() -> Plan:
    source = load_source_set("minimal", ())
    made = make_plan(source.profile, source.rules, Request(weighs=True), source.catalog)
    return attach_by(made, "tracepoint", typed_loads=True)


def opens(number: int, record: int = 112, filtered: int = 0) -> tuple[Weighed, ...]:
    opened = Weighed(seen=number + filtered, filtered=filtered, sent=number, bytes=record * number)
    return (Weighed(), opened, Weighed(), Weighed())


def watched_of(*ticks: tuple[Weighed, ...], hooks: tuple[HookRuns, ...] | None = ()) -> Watched:
    return Watched(tuple(Tick(0.1, each) for each in ticks), hooks, 1000, 40.0, ())


def own_of(ns: float, delivered: float = 1.0) -> OwnCost:
    return OwnCost(0.0, 0.0, {OPENAT: EventCost(ns, 280.0, delivered)})


def opening(forecast: Forecast) -> dict[str, object]:
    return next(vars(event) for event in forecast.events if event.name == "openat")


def test_rates_are_means_and_peaks(plan: Plan) -> None:
    ticks = (opens(100, filtered=50), NOTHING, opens(300), NOTHING)
    event = opening(make_forecast(plan, watched_of(*ticks), own_of(1000.0, 0.5)))
    assert event["seen_per_second"] == pytest.approx(450 / 0.4)
    assert event["sent_per_second"] == pytest.approx(1000)
    assert event["delivered_per_second"] == pytest.approx(500)
    assert event["peak_sent_per_second"] == pytest.approx(3000)
    assert event["ring_bytes_per_event"] == 112
    assert event["written_bytes_per_second"] == pytest.approx(500 * 280)
    assert event["own_share_of_processor"] == pytest.approx(1000 * 1000e-9)


def test_an_event_that_is_not_in_the_sample_costs_what_others_do(plan: Plan) -> None:
    ticks = ((Weighed(seen=10, sent=10, bytes=1120), *opens(10)[1:]),)
    forecast = make_forecast(plan, watched_of(*ticks), own_of(700.0))
    execve = forecast.events[EXECVE]
    assert execve.own_ns is None
    assert execve.own_share_of_processor == pytest.approx(100 * 700e-9)


def test_looks_at_an_idle_ring_cost_too(plan: Plan) -> None:
    own = OwnCost(20_000.0, 0.0, {})
    idle = make_forecast(plan, watched_of(NOTHING), own)
    assert idle.own_share_of_processor == pytest.approx(20e-6 / IDLE_TICK)
    busy = make_forecast(plan, watched_of(opens(100_000)), own)
    assert busy.own_share_of_processor == pytest.approx(20e-6 / BUSY_TICK)


def test_what_is_read_as_quickly_as_it_comes_is_not_lost(plan: Plan) -> None:
    forecast = make_forecast(plan, watched_of(*[opens(10_000)] * 20), own_of(1000.0))
    assert forecast.ring.lost_share == forecast.ring.lost_share_at_peak == 0
    came = 10_000 * 112
    assert forecast.ring.peak_occupancy == pytest.approx(came * IDLE_TICK / 0.1 / (8 << 20))
    assert forecast.ring.seconds_to_fill == pytest.approx((8 << 20) / (came / 0.1))


def test_a_ring_that_fills_loses_the_rest(plan: Plan) -> None:
    """Twice as much comes as can be read, for so long that the ring's size matters little."""
    forecast = make_forecast(plan, watched_of(*[opens(200_000)] * 500), own_of(1000.0))
    assert forecast.ring.peak_occupancy == 1
    assert forecast.ring.lost_share == pytest.approx(0.5, abs=0.01)
    assert forecast.ring.lost_share_at_peak == pytest.approx(0.5)


def test_a_burst_that_fits_into_the_ring_is_not_lost(plan: Plan) -> None:
    burst = opens(140_000, record=56)  # 7.8 MB of 8 MiB, of which a hundred thousand can be read
    forecast = make_forecast(plan, watched_of(burst, *[NOTHING] * 9), own_of(1000.0))
    assert forecast.ring.lost_share == 0
    assert forecast.ring.lost_share_at_peak == pytest.approx(1 - 100 / 140)


def test_time_of_hooks_is_divided_among_the_events_that_share_them(plan: Plan) -> None:
    """The end of a process is met by one event only; its hook's time is that event's."""
    ended = (Weighed(), Weighed(), Weighed(), Weighed(seen=9))
    hooks = (HookRuns("attached_sched_process_exit", 9, 20_000),)
    forecast = make_forecast(plan, watched_of(ended, hooks=hooks), own_of(1.0))
    exits, opened = forecast.events[EXIT], forecast.events[OPENAT]
    expected = 20_000e-9 / 0.1 / forecast.processors
    assert exits.hook_share_of_host == pytest.approx(expected)
    assert opened.hook_share_of_host == 0
    assert forecast.hooks_share_of_host == pytest.approx(expected)


def test_what_the_kernel_does_not_tell_is_unknown(plan: Plan) -> None:
    watched = replace(watched_of(opens(10), hooks=None), calls=None)
    forecast = make_forecast(plan, watched, own_of(1.0))
    assert forecast.hooks_share_of_host is None
    assert forecast.calls_share_of_host is None
    assert "unknown of the host" in render_forecast(forecast)


def test_text_and_json_have_the_same_figures(plan: Plan) -> None:
    forecast = make_forecast(plan, watched_of(opens(1000)), own_of(1000.0))
    text, said = render_forecast(forecast), json.loads(render_forecast_json(forecast))
    assert "10,000" in text
    assert "not met: execve, connect, exit" in text
    assert said["events"][OPENAT]["sent_per_second"] == pytest.approx(10_000)
    assert said["ring"]["size_bytes"] == 8 << 20


def test_a_sample_is_told_apart_by_event() -> None:
    records = [bytes(16) + bytes((index, 0, 7, 0)) + bytes(44) for index in (2, 0, 2)]
    found = split_sample(records, 3)
    assert [len(found[index]) for index in range(3)] == [1, 0, 2]


def test_a_file_that_is_no_report(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bench") / "earlier.json"
    for text, said in (("{", "is no report"), ('{"profile": "a"}', "is no report")):
        path.write_text(text)
        with pytest.raises(ProblemsError, match=said):
            read_report(str(path))
    with pytest.raises(ProblemsError, match="cannot read"):
        read_report(str(path.with_name("absent")))
