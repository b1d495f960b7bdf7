"""A workload that tells the paths it expects, and the events that it makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kernel_run import Etracee, Event, Run, exact, lacks, script

PRELUDE = """
import json
work = os.fsencode(os.path.dirname(os.path.abspath(__file__)))
AT_FDCWD, O_PATH = -100, os.O_PATH
told = []

def mark():
    libc.openat(AT_FDCWD, b"/mark-of-the-test", 0)

def tell(path, source, *more):
    told.append([None if path is None else path.decode("latin-1"), source, *more])

def joined(path):
    tell(path, "joined")

def lost():
    told.append([None, None, "lost"])

def lies(fd):
    "Tell where the open file lies, as /proc has it."
    path = os.readlink(b"/proc/self/fd/%d" % fd)
    tell(path.removesuffix(b" (deleted)"), "kernel")

def openat(name, flags=0, directory=AT_FDCWD):
    return libc.openat(directory, name, flags, 0o600)

def opened(name, flags=0, directory=AT_FDCWD):
    fd = openat(name, flags, directory)
    assert fd >= 0, (name, os.strerror(ctypes.get_errno()))
    lies(fd)
    return fd

def failed(name, error, flags=0, directory=AT_FDCWD):
    assert openat(name, flags, directory) == -1
    assert ctypes.get_errno() == error, os.strerror(ctypes.get_errno())

def private_mounts():
    "Give this process its own mount namespace; nothing of it is seen outside."
    if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
        print("no mount namespace:", os.strerror(ctypes.get_errno()))
        sys.exit(77)
"""

END = """
mark()
print(json.dumps(told))
"""


def run_workload(
    etracee: Etracee, work: Path, attach: str, text: str, *calls: str, more: tuple[str, ...] = ()
) -> tuple[list[Event], list[list[Any]]]:
    """Return the events of `calls` between the marks, and what the workload has told of them."""
    fields = ["path", "path_source"]
    events: dict[str, Any] = {call: {"fields": [*fields, *more]} for call in calls}
    events["openat"] = {"fields": ["filename", *fields]}
    profile = {"options": {"attach": attach}, "events": events}
    run = etracee.run(profile, *script(work, f"{PRELUDE}\n{text}\n{END}"), code=None)
    if run.code == 77:
        lacks(run.stdout.decode())
    assert run.code == 0, run.stderr
    found = between_marks(run)
    return [event for event in found if event["type"] in (calls or ("openat",))], json.loads(
        run.stdout
    )


def between_marks(run: Run) -> list[Event]:
    """Return what was done between the two marks."""
    marks = [
        at for at, event in enumerate(run.events) if event.get("filename") == "/mark-of-the-test"
    ]
    assert len(marks) == 2, f"{len(marks)} marks"
    return run.events[marks[0] + 1 : marks[1]]


def shown(event: Event, name: str = "path") -> list[Any]:
    """Return an event's path as the workloads tell it."""
    path = exact(event, name)
    lost = ["lost"] if name in event.get("truncated", ()) else []
    return [None if path is None else path.decode("latin-1"), event[f"{name}_source"], *lost]


def check(found: list[Event], told: list[list[Any]]) -> None:
    """Compare one by one, so that a failure names the call."""
    assert [shown(event) for event in found] == told, [
        (event["ret"], shown(event), wanted)
        for event, wanted in zip(found, told, strict=False)
        if shown(event) != wanted
    ]
