"""strace on the same run is the witness: the same calls, arguments and results, and no others."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from kernel_agreement import calls_of, run_both
from kernel_failing_calls import change_nothing
from kernel_odd_calls import make_odd_calls
from kernel_processes import make_processes
from kernel_programs import run_all
from kernel_run import Etracee
from kernel_stress import stress_calls
from kernel_workloads import (
    call_on_files,
    call_on_memory,
    call_on_privileges,
    call_on_processes,
    call_on_sockets,
)

Command = Sequence[str | bytes | Path]

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the workloads' numbers of calls are those of x86-64"
)


WORKLOADS = (
    run_all,
    make_odd_calls,
    change_nothing,
    make_processes,
    stress_calls,
    call_on_files,
    call_on_sockets,
    call_on_memory,
    call_on_processes,
    call_on_privileges,
)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_sees_what_strace_sees(
    workload: Callable[[Path], Command],
    etracee: Etracee,
    work: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Every call of the catalog that the workload makes: -s prints the table."""
    agreement, run = run_both(etracee, calls_of(), workload(work))
    print(*agreement.lines(), *agreement.reasons(), sep="\n")
    record_property("calls", agreement.calls.total())
    wrong = "\n".join(agreement.samples())
    assert not agreement.mismatches, f"{len(agreement.mismatches)} differ, such as:\n{wrong}"
    assert agreement.calls.total() > 50, run.stderr
