"""How long events take from the kernel to whoever reads etracee's output.

    sudo .venv/bin/python benchmarks/latency.py [--seconds 5] [--json]

A process opens a file at a steady rate; each line of JSON says when the kernel saw its event, and
is set against the time at which it could be read from a pipe. The time between depends on how
often the monitor looks at the ring, thus on the rate: rates are measured one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

_RATES = (2, 100, 1_000, 20_000)
"""Opens in a second."""
_TICK = 0.1
"""Seconds within which the end of the load is noticed."""
_PROFILE = b"""
name: latency
context: [pid]
events: {openat: {fields: [ret], filter: "filename = /etc/hostname-of-nobody"}}
"""
_LOAD = """
import os, sys, time
rate, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
step = max(1, rate // 1000)
following = time.monotonic()
while following < end:
    for _ in range(step):
        try:
            os.open("/etc/hostname-of-nobody", 0)
        except OSError:
            pass
    following += step / rate
    time.sleep(max(0.0, following - time.monotonic()))
"""


def main() -> None:
    """Measure each rate, and print a line of figures for it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = [_measure(rate, arguments.seconds) for rate in _RATES]
    if arguments.json:
        print(json.dumps(found))
        return
    print("opens/s   events  median ms  99 % below ms  longest ms")
    for row in found:
        print(
            f"{row['rate']:7,}  {row['events']:7,}  {row['median']:9.2f}  {row['p99']:13.2f}"
            f"  {row['longest']:10.2f}"
        )


def _measure(rate: int, seconds: float) -> dict[str, float]:
    """Return what events at `rate` took, in ms."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as profile:
        profile.write(_PROFILE)
        profile.flush()
        taken = sorted(_time_events(profile.name, rate, seconds))
    if not taken:
        sys.exit("no event came")
    return {
        "rate": rate,
        "events": len(taken),
        "median": statistics.median(taken),
        "p99": taken[len(taken) * 99 // 100],
        "longest": taken[-1],
    }


def _time_events(profile: str, rate: int, seconds: float) -> Iterator[float]:
    words = (sys.executable, "-m", "etracee", "run", "-p", profile, "--format", "json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as monitor:
        assert monitor.stdout and monitor.stderr
        said = monitor.stderr.readline()
        if b"profile" not in said:
            sys.exit(said.decode())
        load = subprocess.Popen((sys.executable, "-c", _LOAD, str(rate), str(seconds)))
        yield from _time_lines(monitor.stdout.fileno(), load, monitor)


def _time_lines(
    output: int, load: subprocess.Popen[bytes], monitor: subprocess.Popen[bytes]
) -> Iterator[float]:
    """Yield, of each event, the ms from its time until it could be read; end the monitor."""
    rest, is_over = b"", False
    while True:
        if not is_over and load.poll() is not None:
            is_over = True
            monitor.terminate()
        if not select.select([output], [], [], _TICK)[0]:
            continue
        chunk = os.read(output, 1 << 20)
        now = time.time_ns()
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield (now - int(json.loads(line)["timestamp"])) / 1e6


if __name__ == "__main__":
    main()
