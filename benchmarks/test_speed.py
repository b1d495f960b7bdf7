"""How long each stage takes: `python -m pytest benchmarks`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import RECORDS, make_running_plan, pack_opens, start_reader
from mixed_rules import write_mixed_rules
from pytest_benchmark.fixture import BenchmarkFixture

from etracee.decoding import Decoder, Reader
from etracee.expr.check import check
from etracee.expr.scope import Report, scope_of
from etracee.plan import Plan
from etracee.records import Window
from etracee.render import Program, render_program
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
    plan = benchmark(make_running_plan, source)
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


def test_decode(
    benchmark: BenchmarkFixture, running: tuple[Reader, Decoder], batch: Window
) -> None:
    """A batch of records → events."""
    reader, decoder = running
    benchmark.extra_info["events"] = RECORDS
    made = benchmark(reader.read, batch)
    assert len(made.items) == RECORDS
    assert {item.type for item in made.items} == set(decoder.names)


@pytest.mark.parametrize("count", [10, 1000])
def test_decide(benchmark: BenchmarkFixture, tmp_path: Path, count: int) -> None:
    """A batch of opens, none of which is one that the rules look for → nothing."""
    rules = tmp_path / "rules.yaml"
    write_mixed_rules(rules, count)
    plan = make_running_plan(load_source_set("minimal", (str(rules),)), alerts_only=True)
    (event,) = plan.events
    reader, decoder = start_reader(render_program(plan), tmp_path)
    batch = pack_opens(event.layout)
    benchmark.extra_info["events"] = RECORDS
    made = benchmark(reader.read, batch)
    assert not made.items and not made.found
    assert decoder.rejected == [reader.records]


def test_encode(
    benchmark: BenchmarkFixture, running: tuple[Reader, Decoder], batch: Window
) -> None:
    """A batch of events → JSON lines."""
    reader, decoder = running
    benchmark.extra_info["events"] = RECORDS
    events = reader.read(batch).items
    lines = benchmark(JsonSink(-1).encode, events).splitlines()
    assert len(lines) == RECORDS
    assert {json.loads(line)["type"] for line in lines} == set(decoder.names)


def test_write_lines(
    benchmark: BenchmarkFixture, program: Program, tmp_path: Path, batch: Window
) -> None:
    """A batch of records → JSON lines at once, as where nobody asks for events."""
    reader, decoder = start_reader(program, tmp_path, as_lines=True)
    sink = JsonSink(-1)
    benchmark.extra_info["events"] = RECORDS
    lines = benchmark(lambda: sink.encode(reader.read(batch).items)).splitlines()
    assert len(lines) == RECORDS
    assert {json.loads(line)["type"] for line in lines} == set(decoder.names)
