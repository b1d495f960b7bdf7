"""The same job on the host's kernel and in a guest's, its events in a form to be compared."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from vm_machine import CHECKOUT

_PROCESSES = ("pid", "ppid", "tid", "target_pid", "child_pid")
_MOMENTS = ("timestamp", "human_time")


def normalise(output: bytes) -> list[dict[str, Any]]:
    """Return the events without moments, and with processes numbered as they appear."""
    numbers: dict[int, int] = {}
    events = [json.loads(line) for line in output.splitlines()]
    for event in events:
        for name in _MOMENTS:
            del event[name]
        for name in (*_PROCESSES, *(("ret",) if event["type"] == "setsid" else ())):
            if event.get(name) is not None:
                event[name] = numbers.setdefault(event[name], len(numbers))
    return events


def run_here(job: str, place: Path) -> tuple[str, bytes]:
    """Run a job as a guest does; return what it printed and what it wrote to descriptor 3."""
    with (place / "results").open("w+b") as results:
        done = subprocess.run(
            ["sh", "-c", f"exec 3>&1 >&2; {job}"],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8"},
            stdout=results,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        results.seek(0)
        return done.stderr.decode(), results.read()
