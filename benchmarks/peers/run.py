"""The same work under nothing, etracee and its peers, in turns, and what each of them costs.

    sudo .venv/bin/python benchmarks/peers/run.py [--rounds 5] [--seconds 1] [--works open+close,…]
    .venv/bin/python benchmarks/peers/run.py --render docs/performance.json

The work is pinned to one processor and what watches to another; all of it is bounded, and stays on
this host. It is done by a user of its own, whom alone the tools watch; those that follow what they
start (strace, perf trace) start it. Each tool is started anew for each work of each round, and what
it adds is the difference to the same work under nothing right before.

"Delivered" is what stands in the tool's output when it has ended, "produced" what was done while it
ran: what was lost is counted in the same way for all. The figures go to docs/performance.json, the
tables to docs/performance.md, and plots beside it, where matplotlib is installed (pip install
'etracee[benchmarks]'). Tools that are missing are left out, and named with how to get them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from loads import WORKS, Loop, Work
from measure import FailedError, Taken, measure_idle, time_first_event, work_alone, work_under
from tables import write_tables
from tools import ETRACEE, Tool, make_tools

from etracee.bench.load import environment
from etracee.kernel.bpf import PROG_TYPES
from etracee.kernel.programs import iterate_programs

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_LEAST_SETTLING = 0.5


@dataclass
class Results:
    """All that was measured, as docs/performance.json has it."""

    machine: dict[str, Any]
    rounds: int
    seconds: float
    works: dict[str, str]
    missing: dict[str, str]
    program: list[str]
    others: int = 0
    """Tracing programs of others that were loaded when a work was done under nothing, at most."""
    taken: list[dict[str, Any]] = field(default_factory=list)
    first_event_ms: dict[str, list[float]] = field(default_factory=dict)
    idle_share: list[float] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, or read what was measured, and write the tables and plots."""
    arguments = _parse()
    if arguments.render:
        results = json.loads(Path(arguments.render).read_text())
    else:
        results = asdict(_measure(arguments.rounds, arguments.seconds, arguments.works))
        (arguments.docs / "performance.json").write_text(json.dumps(results) + "\n")
    write_tables(results, arguments.docs / "performance.md")
    if importlib.util.find_spec("matplotlib"):
        importlib.import_module("plots").write_plots(results, arguments.docs)
    else:
        print("no plots: pip install 'etracee[benchmarks]'", file=sys.stderr)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a work in a round")
    names = [work.name for work in WORKS]
    parser.add_argument("--works", type=lambda text: text.split(","), default=names)
    parser.add_argument("--docs", type=Path, default=_DOCS, help="directory to write to")
    parser.add_argument("--render", metavar="FILE", help="write tables of an earlier run's figures")
    arguments = parser.parse_args()
    unknown = set(arguments.works) - set(names)
    if unknown:
        parser.error(f"no work is named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("there must be a round, of some time")
    if not arguments.render and (os.geteuid() != 0 or len(os.sched_getaffinity(0)) < 2):
        parser.error("this needs root and two processors")
    return arguments


def _measure(rounds: int, seconds: float, chosen: Sequence[str]) -> Results:
    works = [work for work in WORKS if work.name in chosen]
    with tempfile.TemporaryDirectory(prefix="etracee-peers-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the user who works goes through it
        every = make_tools(directory)
        tools = [tool for tool in every if tool.is_there]
        missing = {tool.name: tool.how_to_get for tool in every if not tool.is_there}
        for tool, how in missing.items():
            print(f"{tool} is not installed, and left out: {how}", file=sys.stderr)
        described = {work.name: work.does for work in works}
        machine, program = _describe_machine(tools), _describe_program()
        results = Results(machine, rounds, seconds, described, missing, program)
        work_cpu, tool_cpu = sorted(os.sched_getaffinity(0))[:2]
        os.sched_setaffinity(0, {tool_cpu})  # tools inherit it; a work sets its own
        bench = _Bench(results, directory, work_cpu, seconds)
        for number in range(rounds):
            order = tools[number % len(tools) :] + tools[: number % len(tools)]
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            bench.take_round(order, works)
        results.machine["load_after"] = os.getloadavg()[0]
    return results


class _Bench:
    """Takes the rounds. What has failed twice is left out from then on."""

    def __init__(self, results: Results, directory: Path, cpu: int, seconds: float) -> None:
        self._results, self._directory = results, directory
        self._cpu, self._seconds = cpu, seconds
        self._settling: dict[str, float] = {}
        self._failures: Counter[str] = Counter()

    def take_round(self, tools: Sequence[Tool], works: Sequence[Work]) -> None:
        """Take one round: first events, idleness, then each work under each tool."""
        for tool in tools:
            self._try(f"{tool.name}: first event", lambda tool=tool: self._time_first(tool))
        self._results.idle_share.append(measure_idle(_etracee(tools), self._directory, 4.0))
        for work in works:
            alone = self._work_alone(work)
            for tool in tools:
                if work in tool.works:
                    what = f"{tool.name}: {work.name}"
                    self._try(what, lambda t=tool, w=work, a=alone: self._take(t, w, a))

    def _try(self, what: str, do: Callable[[], None]) -> None:
        if self._failures[what] > 1:
            return
        print(f"  {what}", file=sys.stderr, flush=True)
        try:
            do()
        except FailedError as error:
            self._failures[what] += 1
            self._results.failed[what] = str(error).strip()

    def _time_first(self, tool: Tool) -> None:
        with contextlib.closing(Loop(tool.poke, self._cpu)) as poke:
            taken = time_first_event(tool, poke)
        self._results.first_event_ms.setdefault(tool.name, []).append(taken)
        self._settling[tool.name] = max(_LEAST_SETTLING, 2e-3 * taken)

    def _work_alone(self, work: Work) -> Taken:
        self._results.others = max(self._results.others, _count_tracing())
        alone = work_alone(work, self._directory, self._cpu, self._seconds)
        self._results.taken.append(asdict(alone))
        return alone

    def _take(self, tool: Tool, work: Work, alone: Taken) -> None:
        """Do the work under nothing and right after that under the tool; a build alone once."""
        settling = self._settling.get(tool.name, _LEAST_SETTLING)
        alone = alone if work.loop is None else self._work_alone(work)
        taken = work_under(tool, work, self._directory, self._cpu, self._seconds, settling, alone)
        self._results.taken.append(asdict(taken))


def _count_tracing() -> int:
    """Return how many programs are loaded that may be attached to calls."""
    kinds = {PROG_TYPES[name] for name in ("kprobe", "tracepoint", "raw_tracepoint", "fentry")}
    return sum(info.kind in kinds for info in iterate_programs())


def _etracee(tools: Sequence[Tool]) -> Tool:
    return next(tool for tool in tools if tool.name == "etracee")


def _describe_machine(tools: Sequence[Tool]) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": models[0] if models else "",
        "processors": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "load_before": os.getloadavg()[0],
        "versions": {tool.program: _version(tool.program) for tool in tools},
    }


def _describe_program() -> list[str]:
    """Return what the profile minimal costs the verifier, a line for each function and all."""
    words = [*ETRACEE, "generate", "--profile", "minimal", "--stats"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment())
    return done.stdout.splitlines()


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0]


if __name__ == "__main__":
    main()
