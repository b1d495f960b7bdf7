"""How far a forecast is from what then comes: the same load under both, and the error.

    sudo .venv/bin/python benchmarks/forecast_error.py [--profile minimal] [--seconds 10]

A bounded load opens files, connects to a closed port of 127.0.0.1 and starts programs, in bursts
that repeat every second. `etracee bench --forecast` counts while it goes on; then `etracee run`
delivers while it goes on, for as long. Compared are the events of each kind and their bytes in the
ring and as JSON, the processor time of etracee's process, the time that its programs took in the
kernel, and the loss. The rest of the host is in both halves too: use one that is quiet.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from etracee.bench.load import environment
from etracee.bench.maps import read_attached
from etracee.bench.tracer import Order, Tracer, start_tracer
from etracee.bench.workloads import WORKLOADS
from etracee.kernel.programs import enable_statistics
from etracee.plan import Request, make_plan
from etracee.source_set import load_source_set

_BURSTS = (("open+close", 5000), ("connect", 300), ("fork+exec+exit", 30), ("open+close", 15000))
"""What is done in each second, and how often."""
_SETTLING = 1.0


def main() -> None:
    """Forecast, run, and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--profile", default="minimal")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        _work(os.getppid())
        return
    with _load():
        forecast = _forecast(arguments.profile, arguments.seconds)
        real = _run(arguments.profile, arguments.seconds)
    print("\n".join(_compare(forecast, real)))


def _work(parent: int) -> None:
    """Do the bursts, beginning one each quarter of a second, while the parent lives."""
    made = {workload.name: workload for workload in WORKLOADS if not workload.calls}
    with contextlib.ExitStack() as stack:
        loops = {name: stack.enter_context(each.prepare()) for name, each in made.items()}
        due = time.monotonic()
        while os.getppid() == parent:
            for name, times in _BURSTS:
                loops[name](times)
                due = max(due + 1 / len(_BURSTS), time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))


@contextlib.contextmanager
def _load() -> Iterator[None]:
    words = [sys.executable, __file__, "--load"]
    with subprocess.Popen(words, env=environment()) as process:
        time.sleep(_SETTLING)
        try:
            yield
        finally:
            process.kill()


def _forecast(profile: str, seconds: float) -> dict[str, Any]:
    words = [sys.executable, "-m", "etracee", "bench", "--profile", profile]
    words += ["--forecast", f"{seconds}s", "--format", "json"]
    done = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def _run(profile: str, seconds: float) -> dict[str, Any]:
    """Return the figures of a real run, named as those of the forecast."""
    source = load_source_set(profile, ())
    plan = make_plan(source.profile, source.rules, Request(), source.catalog)
    order = Order(profile, (), tuple(event.name for event in plan.events))
    with start_tracer(order) as tracer, contextlib.closing(_Statistics()):
        time.sleep(_SETTLING)
        observation, hooks, start = tracer.observe(), _hook_ns(tracer), time.monotonic()
        time.sleep(seconds)
        lasted, hooks = time.monotonic() - start, _hook_ns(tracer) - hooks
        traced = observation.finish()
    return {
        "events": {name: counts.sent / lasted for name, counts in traced.counts.items()},
        "ring_bytes_per_second": traced.ring_bytes / lasted,
        "written_bytes_per_second": traced.written_bytes / lasted,
        "own_share_of_processor": traced.tracer_ns / 1e9 / lasted,
        "hooks_share_of_host": hooks / 1e9 / lasted / (os.cpu_count() or 1),
        "lost_share": sum(counts.lost for counts in traced.counts.values())
        / max(1, sum(counts.seen for counts in traced.counts.values())),
    }


class _Statistics:
    """The kernel times all programs until close()."""

    def __init__(self) -> None:
        self._descriptor = enable_statistics()

    def close(self) -> None:
        """Time them no more."""
        os.close(self._descriptor)


def _hook_ns(tracer: Tracer) -> int:
    """Return the time that what is attached has taken; what it calls is in it."""
    infos = read_attached(tracer.process.pid)
    return sum(info.run_ns for info in infos if info.name.startswith("attached_"))


def _compare(forecast: dict[str, Any], real: dict[str, Any]) -> Iterator[str]:
    yield f"{'':26}{'forecast':>14}{'then':>14}{'error':>9}"
    for event in forecast["events"]:
        name = event["name"]
        yield _line(f"{name}/s", event["sent_per_second"], real["events"][name])
    for name in ("ring_bytes_per_second", "written_bytes_per_second"):
        yield _line(name, sum(event[name] for event in forecast["events"]), real[name])
    for name in ("own_share_of_processor", "hooks_share_of_host"):
        yield _line(f"{name}, %", 100 * (forecast[name] or 0.0), 100 * real[name])
    yield _line("lost, %", 100 * forecast["ring"]["lost_share"], 100 * real["lost_share"])


def _line(name: str, expected: float, found: float) -> str:
    error = f"{expected / found - 1:+9.1%}" if found else f"{'-':>9}"
    return f"{name:26}{expected:14,.2f}{found:14,.2f}{error}"


if __name__ == "__main__":
    main()
