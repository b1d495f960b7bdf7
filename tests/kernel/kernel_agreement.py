"""Run a command under strace, and both under etracee; say how far the two agree.

    python tests/kernel/kernel_agreement.py [--call NAME]... -- COMMAND ARG...

prints a table of the calls compared and of what differs, and ends with 1 where anything does.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kernel_run import PATIENCE, Etracee, Run, needs_tool
from kernel_strace import OPTIONS, read_calls
from kernel_witness import Agreement, compare

from etracee.catalog import EventType, load_catalog
from etracee.catalog.model import PartOf, Passed
from etracee.types.base import Kind
from etracee.types.ids import Ids

Command = Sequence[str | bytes | Path]

_PATIENCE = 5 * PATIENCE
"""Seconds: clang has a program for every call to compile, and strace slows what it watches."""


def calls_of(names: Iterable[str] = ()) -> dict[str, EventType]:
    """Return the calls of these names or families, of none all, by the kernel's name."""
    catalog = load_catalog()
    wanted = {call for name in names for call in catalog.families.get(name, (name,))}
    return {
        event.name.removeprefix("syscall."): event
        for event in catalog.events.values()
        if event.number is not None and (not wanted or event.name in wanted)
    }


def profile_of(types: Mapping[str, EventType]) -> dict[str, object]:
    """Return a profile that shows all arguments of the calls but of strace's own."""
    return {
        "context": ["pid", "tid", "comm"],
        "filter": "not comm = strace",
        "options": {"max_string": "1024", "max_argv": "4096", "ring_buffer": "64MiB"},
        "events": {event.name: {"fields": fields_of(event) or ["ret"]} for event in types.values()},
    }


def fields_of(event: EventType) -> list[str]:
    """Return the fields that are arguments or parts of them."""
    found = []
    for field in event.fields.values():
        whole = event.fields[field.origin.whole] if isinstance(field.origin, PartOf) else field
        listed = whole.kind is Kind.TEXTS and whole is not field
        opaque = field.kind is Kind.OPAQUE and not isinstance(field.type, Ids)
        if isinstance(whole.origin, Passed) and not opaque and not listed:
            found.append(field.name)
    return found


def run_both(
    etracee: Etracee, types: Mapping[str, EventType], command: Command
) -> tuple[Agreement, Run]:
    """Run the command, which strace watches, and both etracee."""
    trace = etracee.directory / "strace.out"
    etracee.patience = _PATIENCE
    words = (needs_tool("strace"), *OPTIONS, "-o", trace, *command)
    run = etracee.run(profile_of(types), *words, code=None)
    assert trace.exists(), f"strace did not run:\n{run.stderr}"
    calls = read_calls(trace)
    assert calls, f"strace has seen nothing; stderr:\n{run.stderr}"
    assert not any(count.lost for count in run.summary.values()), run.stderr
    traced = {call.tid for call in calls}
    first = run.events[0]["tid"]  # what becomes strace has another name before
    ours = [event for event in run.events if event["tid"] != first or first in traced]
    return compare(calls[1:], ours, types), run


def main() -> int:
    """Compare on the command line's command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--call", action="append", default=[], help="a call or a family of calls")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    program, *words = arguments.command
    found = shutil.which(program)
    if found is None:
        parser.error(f"{program} cannot be executed or is not on the PATH")
    command = (Path(found).absolute(), *words)  # etracee runs in a directory of its own
    with tempfile.TemporaryDirectory() as directory:
        etracee = Etracee(Path(directory))
        try:
            agreement, _ = run_both(etracee, calls_of(arguments.call), command)
        finally:
            etracee.clean_up()
    print(*agreement.lines(), *agreement.reasons(), *agreement.samples(60), sep="\n")
    return 1 if agreement.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
