"""How long each stage takes: `python -m pytest benchmarks`."""

from __future__ import annotations

import json

from conftest import RECORDS, Batch, make_minimal_plan
from pytest_benchmark.fixture import BenchmarkFixture

from etracee.decoding import Decoder
from etracee.event import Item
from etracee.expr.check import Report, check, scope_of
from etracee.plan import Plan
from etracee.render import render_program
from etracee.sinks.json import JsonSink
from etracee.source_set import SourceSet, load_source_set

EXPRESSION = (
    "uid in 1000..1999 and (filename startswith /etc/ or filename endswith .so)"
    " and not comm in (sshd, $shells) and flags has O_CREAT and ret >= 0"
)


def test_load_source(benchmark: BenchmarkFixture) -> None:
    """YAML of profile and catalog → checked models; its first call reads the catalog."""
    source = benchmark(load_source_set, "minimal", ())
    assert source.profile.name == "minimal"


def test_plan(benchmark: BenchmarkFixture, source: SourceSet) -> None:
    """Models → plan."""
    plan = benchmark(make_minimal_plan, source)
    assert len(plan.events) == 4


def test_render(benchmark: BenchmarkFixture, plan: Plan) -> None:
    """Plan → C and decoder."""
    program = benchmark(render_program, plan)
    assert "openat" in program.c


def test_check_expression(benchmark: BenchmarkFixture, source: SourceSet) -> None:
    """Text → typed expression for each of four events."""
    catalog = source.catalog
    names = ("open", "openat", "openat2", "creat")
    events = [catalog.events[name] for name in names]
    scope = scope_of(events, catalog.context, {"shells": ("sh", "bash", "zsh")})

    def check_once() -> Report:
        report = Report(lambda _: None)
        check(EXPRESSION, scope, report)
        return report

    assert benchmark(check_once).problems == []


def test_decode(benchmark: BenchmarkFixture, decoder: Decoder, batch: Batch) -> None:
    """A batch of records → events."""
    benchmark.extra_info["events"] = RECORDS
    found = benchmark(decoder.read, batch.data, batch.offsets)
    assert len(found) == RECORDS
    assert all(decoder.received)


def test_encode(benchmark: BenchmarkFixture, decoder: Decoder, batch: Batch) -> None:
    """A batch of events → JSON lines."""
    benchmark.extra_info["events"] = RECORDS
    events: list[Item] = [found[0] for found in decoder.read(batch.data, batch.offsets)]
    lines = benchmark(JsonSink(-1).encode, events).splitlines()
    assert len(lines) == RECORDS
    assert {json.loads(line)["type"] for line in lines} == set(decoder.names)
