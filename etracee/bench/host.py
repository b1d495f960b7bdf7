"""What hooks cost on this host, and which calls it makes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping

from etracee.bench.hooks import WATCHED, measure_hooks
from etracee.bench.stubs import Members, find_members, load_counter
from etracee.catalog import Catalog, load_catalog
from etracee.catalog.measured import FORMAT, Measured
from etracee.kernel.bpf import attach_raw_tracepoint
from etracee.kernel.btf import Btf
from etracee.kernel.probe import choose_attachment, find_tracefs
from etracee.problems import host_lacks

COUNTING_SECONDS = 5.0
"""How long the host's calls are counted."""


def measure_host() -> Measured:
    """Measure for some ten seconds; ProblemsError where the kernel leaves nothing to choose."""
    found, tracefs = choose_attachment("auto", "tracepoint"), find_tracefs()
    if found.why or tracefs is None:
        what = f"there is nothing to choose: calls can be met in one way alone, since {found.why}"
        raise host_lacks(what, "`etracee doctor` says what this host lacks")
    catalog = load_catalog()
    watched = catalog.call(WATCHED)
    assert watched is not None
    with Btf() as btf:
        members = find_members(btf, catalog.registers)
    try:
        hooks = measure_hooks(members, watched, tracefs)
        with count_calls(members) as read:
            time.sleep(COUNTING_SECONDS)
            counts = read()
    except OSError as error:
        hint = "run as root (sudo); `etracee doctor` says what else may stand in the way"
        raise host_lacks(f"the kernel refuses to be measured: {error.strerror}", hint) from None
    system = os.uname()
    return Measured(
        format=FORMAT,
        release=system.release,
        machine=system.machine,
        at=int(time.time()),
        hooks=hooks,
        calls=_name_calls(counts, catalog),
        counted=sum(counts),
    )


@contextlib.contextmanager
def count_calls(members: Members) -> Iterator[Callable[[], list[int]]]:
    """Count the calls that the host begins; what is yielded returns how many there were.

    They are told apart by number; the last are those that have none there: 32-bit ones, above all.
    """
    with contextlib.ExitStack() as stack:
        program, table = load_counter(members, stack)
        stack.callback(os.close, attach_raw_tracepoint("sys_enter", program))
        yield lambda: [sum(memoryview(values).cast("Q")) for values in table.read_array()]


def _name_calls(counts: list[int], catalog: Catalog) -> Mapping[str, int]:
    """Return how many there were of each call that was made, the most frequent first."""
    names = {
        event.number: event.tracepoint
        for event in catalog.events.values()
        if event.number is not None
    }
    made = {names[at]: count for at, count in enumerate(counts) if count and at in names}
    return dict(sorted(made.items(), key=lambda item: -item[1]))
