"""What rules cost: one open and close of a file without them, and with them decided elsewhere.

    sudo .venv/bin/python benchmarks/rules_cost.py [--rounds 5]

It takes a few minutes, and needs two processors for figures that mean something: the file is opened
and closed, for reading, on one of them, and what watches runs on the other. All tools watch the
whole host, and none of the rules is true of this open. The variants take turns, each started anew
for each round, and each right after the same loop with nothing attached:

- nothing: the loop a second time, which shows how far the figures can be trusted;
- bundled: `etracee run --profile minimal --alerts-only` with all bundled rules;
- in Python: the same, but nothing is decided in the kernel (undivided.py);
- bpftrace: those of these rules that bpftrace can express, as far as it can (bpftrace_form.py);
- 10 mixed, 1000 mixed: rules over the file name, half of them equality, the others prefix, contains
  and regular expression in equal parts (mixed_rules.py).

"added" is the processor time of one open and close above that of the same round's loop alone, both
in the fastest of many short runs, so that others on a busy host matter little; "least" compares the
fastest runs of all rounds. "own" is the processor time of what watches, for one open that was not
lost, and "of a CPU" its share of the time in which the loop ran. A tool that loses events looks
cheap, so what it lost stands beside. "in all" is added and own: the cost of one open to the host.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from bpftrace_form import Script, write_script
from mixed_rules import write_mixed_rules

from etracee.bench.figures import Counts, Reading, Traced, per_operation
from etracee.bench.load import WorkerLoad, start_workers
from etracee.bench.measure import choose_processors
from etracee.bench.tracer import Order, TracerFailedError, read_processor_ns, start_tracer
from etracee.bench.workloads import WORKLOADS
from etracee.plan import Plan, Request, make_plan
from etracee.resources import bundled
from etracee.source_set import load_source_set

_EVENT = "openat"
_RUNS = 50
"""Runs of the loop, of 0.03 s each, of which a round takes the fastest."""
_PATIENCE = 120.0
"""Seconds that bpftrace may take to attach."""


class Observation(Protocol):
    """What watches, from a moment on."""

    def finish(self) -> Traced:
        """Return what it did since then."""


class Watching(Protocol):
    """What watches while the loop runs."""

    def observe(self) -> Observation:
        """Begin to look at what it does."""


@dataclass(frozen=True)
class Variant:
    """What is attached while the loop runs."""

    name: str
    start: Callable[[], AbstractContextManager[Watching]]


@dataclass(frozen=True)
class Cost:
    """One round: ns of one open and close without and with, own ns of one open, shares."""

    without: float
    watched: float
    own: float
    of_a_cpu: float
    lost: float

    @property
    def added(self) -> float:
        """Return the ns that one open and close takes longer."""
        return self.watched - self.without


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = max(1, parser.parse_args().rounds)
    opening = [workload for workload in WORKLOADS if _EVENT in workload.makes]
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="etracee-rules-")))
        variants = make_variants(directory)
        workload_cpu, _ = stack.enter_context(choose_processors())
        (load,) = stack.enter_context(start_workers(opening, workload_cpu))
        try:
            costs = measure(variants, load, rounds)
        except TracerFailedError as error:
            sys.exit(error.said)
    print("\n".join(render(costs)))


def make_variants(directory: Path) -> list[Variant]:
    """Return the variants; files they need are written to `directory`."""
    rules = tuple(str(path) for path in sorted(bundled("rules").glob("*.yaml")))
    alone = (sys.executable, str(Path(__file__).with_name("undivided.py")))
    variants = [
        Variant("nothing", lambda: contextlib.nullcontext(_Nothing())),
        etracee("bundled", rules),
        etracee("in Python", rules, alone),
    ]
    if shutil.which("bpftrace"):
        script = write_script(_plan(rules), _EVENT)
        print(f"bpftrace: {script.whole} of {script.of} rules of {_EVENT}, {script.parts} in part")
        variants.append(Variant("bpftrace", lambda: start_bpftrace(script)))
    else:
        print("bpftrace is not installed, and left out")
    for count in (10, 1000):
        path = directory / f"mixed-{count}.yaml"
        write_mixed_rules(path, count)
        variants.append(etracee(f"{count} mixed", (str(path),)))
    return variants


def etracee(name: str, rules: tuple[str, ...], tool: tuple[str, ...] | None = None) -> Variant:
    """Return the variant that runs etracee, or `tool` in its place, with `rules`."""
    watched = tuple(event.name for event in _plan(rules).events)
    order = Order("minimal", rules, watched, alerts_only=True)
    if tool:
        order = Order("minimal", rules, watched, alerts_only=True, tool=tool)
    return Variant(name, lambda: start_tracer(order))


def _plan(rules: tuple[str, ...]) -> Plan:
    source = load_source_set("minimal", rules)
    return make_plan(source.profile, source.rules, Request(alerts_only=True), source.catalog)


def measure(variants: list[Variant], load: WorkerLoad, rounds: int) -> dict[str, list[Cost]]:
    """Return the costs by variant, a round after the other."""
    costs: dict[str, list[Cost]] = {variant.name: [] for variant in variants}
    for number in range(rounds):
        for variant in variants:
            print(f"\rround {number + 1}, {variant.name:20}", end="", file=sys.stderr, flush=True)
            costs[variant.name].append(measure_once(variant, load))
    print(file=sys.stderr)
    return costs


def measure_once(variant: Variant, load: WorkerLoad) -> Cost:
    """Return the costs of one round of one variant."""
    load.warm_up()
    _, without = per_operation(_fastest(_run(load)))
    with variant.start() as watching:
        load.warm_up()
        observation = watching.observe()
        readings = _run(load)
        traced = observation.finish()
    _, watched = per_operation(_fastest(readings))
    opens = sum(reading.operations for reading in readings)
    lost = traced.counts.get(_EVENT, Counts()).lost + traced.not_run
    return Cost(
        without=without,
        watched=watched,
        own=traced.tracer_ns / max(1, opens - lost),
        of_a_cpu=traced.tracer_ns / sum(reading.wall_ns for reading in readings),
        lost=lost / opens,
    )


def _run(load: WorkerLoad) -> list[Reading]:
    return [load.run_part() for _ in range(_RUNS)]


def _fastest(readings: list[Reading]) -> Reading:
    return min(readings, key=lambda reading: reading.processor_ns)


class _Nothing:
    def observe(self) -> _Nothing:
        return self

    def finish(self) -> Traced:
        return Traced({}, 0, 0, 0, 0)


@dataclass(frozen=True)
class Bpftrace:
    """A bpftrace that runs, with every probe attached."""

    pid: int
    begun_ns: int = 0

    def observe(self) -> Bpftrace:
        """Begin to look at its processor time; of events it cannot send it says nothing meanwhile.

        None is sent for the loop's opens.
        """
        return Bpftrace(self.pid, read_processor_ns(self.pid))

    def finish(self) -> Traced:
        """Return the processor time since then."""
        return Traced({}, 0, 0, 0, read_processor_ns(self.pid) - self.begun_ns)


@contextlib.contextmanager
def start_bpftrace(script: Script) -> Iterator[Watching]:
    """Run the script; TracerFailedError when it does not attach."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complaints:
        words = ["bpftrace", "-B", "line", "-e", script.text]
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=complaints
        ) as process:
            try:
                _await_attached(process, said, complaints)
                yield Bpftrace(process.pid)
            finally:
                process.terminate()


def _await_attached(process: subprocess.Popen[bytes], said: IO[str], complaints: IO[str]) -> None:
    """Wait for the line that the script prints first: it is shown when all probes are attached."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        said.seek(0)
        if "attached\n" in said:
            return
        time.sleep(0.05)
    complaints.seek(0)
    raise TracerFailedError(f"bpftrace does not attach: {complaints.read()}", 1)


_HEADS = ("variant", "alone", "added", "least", "own", "of a CPU", "lost", "in all")


def render(costs: dict[str, list[Cost]]) -> list[str]:
    """Return the lines of the table, medians of the rounds, and how the mixed ones compare."""
    rows = [_HEADS, *(_row(name, found) for name, found in costs.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    few, many = _in_all(costs["10 mixed"]), _in_all(costs["1000 mixed"])
    return [*lines, "", f"1000 mixed rules cost {many / few:.2f} times ten of them, in all."]


def _row(name: str, found: list[Cost]) -> tuple[str, ...]:
    least = min(cost.watched for cost in found) - min(cost.without for cost in found)
    return (
        name,
        f"{_median(cost.without for cost in found):,.0f} ns",
        f"{_median(cost.added for cost in found):+,.0f} ns",
        f"{least:+,.0f} ns",
        f"{_median(cost.own for cost in found):,.1f} ns",
        f"{_median(cost.of_a_cpu for cost in found):.2%}",
        f"{_median(cost.lost for cost in found):.1%}",
        f"{_in_all(found):,.0f} ns",
    )


def _in_all(found: list[Cost]) -> float:
    return _median(cost.added + cost.own for cost in found)


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
