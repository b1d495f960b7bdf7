"""How quickly etracee starts, how much memory the monitor takes, and what it costs while idle.

    sudo .venv/bin/python benchmarks/start.py [--rounds 9] [--profile minimal] [--json]

Time is from right before the process is made until the first byte of its output can be read. A
file is opened every millisecond meanwhile, so that there is an event as soon as one can be seen.
The variants take turns:

- python: the interpreter alone, which the tool cannot be quicker than;
- cold: `etracee run -p PROFILE --format json --no-cache`, everything read, planned and compiled;
- kept: the same from the program that a start before it has kept;
- built: `etracee run FILE` from a file of `etracee build`;
- bpftrace: the same first open, where it is installed.

Each has run once before, so that files are in memory and Python's own cache of code is filled. On a
busy host believe the ratios and the least rather than the median; --realtime asks for processors
before everybody else (chrt(1)), so that only what others leave in the processors' caches matters.

Memory is the proportional set (PSS) of the monitor after some seconds of events, without the
mapped ring. Idle is the processor time of a monitor whose filter lets nothing through.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from etracee.bench.tracer import read_processor_ns

_TOOL = (sys.executable, "-m", "etracee")
_CHECKOUT = Path(__file__).resolve().parents[1]
_PATIENCE = 120.0
_SETTLING, _IDLE = 3.0, 20.0
"""Seconds of events before memory is looked at, and of idleness."""
_OPENS = 'tracepoint:syscalls:sys_exit_openat { printf("%d\\n", args->ret); }'


class Bench:
    """Starts the variants, with files of its own in `directory`."""

    def __init__(self, directory: Path, profile: str, *, realtime: bool) -> None:
        self._directory, self._profile = directory, profile
        self._prefix = ("chrt", "-f", "10") if realtime else ()
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._environment = {
            **kept,
            "PYTHONPATH": str(_CHECKOUT),
            "PYTHONPYCACHEPREFIX": str(directory / "code"),
            "CACHE_DIRECTORY": str(directory / "kept"),
        }
        self._built = directory / "built"

    def variants(self) -> dict[str, Callable[[], float]]:
        """Return what is measured, by name: each returns ms."""
        run = (*_TOOL, "run", "--format", "json")
        build = (*_TOOL, "build", "-p", self._profile, "-o", self._built)
        subprocess.run(build, env=self._environment, check=True, stderr=subprocess.DEVNULL)
        commands: dict[str, Sequence[str | Path]] = {
            "cold": (*run, "-p", self._profile, "--no-cache"),
            "kept": (*run, "-p", self._profile),
            "built": (*run, self._built),
        }
        if shutil.which("bpftrace"):
            commands["bpftrace"] = ("bpftrace", "-B", "none", "-e", _OPENS)
        return {
            "python": self._time_python,
            **{name: self._timer(words) for name, words in commands.items()},
        }

    def _time_python(self) -> float:
        start = time.perf_counter()
        words = (*self._prefix, sys.executable, "-c", "pass")
        subprocess.run(words, env=self._environment, check=True)
        return (time.perf_counter() - start) * 1e3

    def _timer(self, words: Sequence[str | Path]) -> Callable[[], float]:
        return lambda: self._time_first_event(words)

    def _time_first_event(self, words: Sequence[str | Path]) -> float:
        start = time.perf_counter()
        with subprocess.Popen(
            [*self._prefix, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        ) as process:
            _open_until_output(process)
            taken = (time.perf_counter() - start) * 1e3
            process.terminate()
            process.communicate()
        return taken

    def measure_running(self) -> dict[str, float]:
        """Return the memory of a monitor that has kept program and works, and its idle share."""
        words = (*_TOOL, "run", "-p", self._profile, "--format", "json")
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self._environment
        ) as process:
            _open_until_output(process)
            end = time.monotonic() + _SETTLING
            while time.monotonic() < end:
                _open_until_output(process)
                os.read(process.stdout.fileno(), 1 << 16)
            memory = _read_memory(process.pid)
            process.kill()
            process.communicate()
        return {**memory, "idle_percent": self._measure_idle()}

    def _measure_idle(self) -> float:
        """Return the share of a processor that a monitor takes that nothing happens to."""
        words = (*_TOOL, "run", "-p", self._profile, "--comm", "nobody-is-called")
        with subprocess.Popen(
            [*words, "-o", self._directory / "none"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        ) as process:
            time.sleep(_SETTLING)
            before, start = read_processor_ns(process.pid), time.monotonic_ns()
            time.sleep(_IDLE)
            spent = read_processor_ns(process.pid) - before
            share = spent / (time.monotonic_ns() - start)
            process.kill()
            process.communicate()
        return share * 100


def _open_until_output(process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while not select.select([process.stdout], [], [], 0.001)[0]:
        os.close(os.open(os.devnull, os.O_RDONLY))
        if time.monotonic() > end or process.poll() is not None:
            sys.exit(f"{process.args} gives no event")
    if not os.get_blocking(process.stdout.fileno()) or process.poll() is not None:
        sys.exit(f"{process.args} has ended with {process.returncode}")


def _read_memory(pid: int) -> dict[str, float]:
    """Return the PSS of a process in MB, and how much of it is the ring's."""
    total = ring = 0
    is_ring = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in line.partition(" ")[0]:
            is_ring = line.endswith("bpf-map")
        elif name == "Pss":
            total += int(rest.split()[0])
            ring += int(rest.split()[0]) * is_ring
    return {"memory_mb": (total - ring) / 1e3, "ring_mb": ring / 1e3}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--profile", default="minimal")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="etracee-start-") as directory:
        bench = Bench(Path(directory), arguments.profile, realtime=arguments.realtime)
        variants = bench.variants()
        times: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(arguments.rounds + 1):
            for name, measure in variants.items():
                taken = measure()
                if number:
                    times[name].append(taken)
        running = bench.measure_running()
    if arguments.json:
        print(json.dumps({"first_event_ms": times, **running}))
        return
    print(f"{'to the first event, ms':24}{'median':>9}{'least':>9}{'most':>9}")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:24}{median:9.1f}{min(taken):9.1f}{max(taken):9.1f}")
    print(f"memory (PSS) {running['memory_mb']:.1f} MB, and the ring {running['ring_mb']:.1f} MB")
    print(f"idle: {running['idle_percent']:.3f} % of a processor")


if __name__ == "__main__":
    main()
