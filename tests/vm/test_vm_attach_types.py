"""What the other kernel lets a program do, where the host's may refuse it."""

from __future__ import annotations

import shlex
import sys

import pytest
from vm_machine import ASKED

from etracee.kernel.bpf import PROG_TYPES

PYTHON = shlex.quote(sys.executable)
_SHOW_PREEMPTION = "mount -t debugfs debugfs /sys/kernel/debug"
"""Lets the guest tell that its kernel does not interrupt itself."""
_TESTS = (
    "test_kernel_attach.py",
    "test_kernel_close.py::test_files_as_readlink_shows_them",
    "test_kernel_counts.py::test_ticks_and_reloads_lose_and_double_nothing",
    "test_kernel_duration.py::test_as_long_as_the_clocks_around_the_call_say",
    "test_kernel_reload.py::test_a_command_is_followed_on",
    "test_kernel_reload.py::test_rules_and_hooks_come_and_go",
)
"""Kernel tests of what is attached to functions: what it tells, and how it is exchanged."""


def test_every_program_type_loads(boot_kernel):
    outcome = boot_kernel(f"{PYTHON} -m etracee doctor")
    assert outcome.status == 0, outcome.output
    for kind in PROG_TYPES:
        line = next(line for line in outcome.output.splitlines() if f" {kind} programs " in line)
        assert line.split() == ["ok", kind, "programs", "load"]


@pytest.mark.skipif(ASKED == "some", reason="takes minutes: ./setup.sh test --kernels")
def test_calls_are_met_at_their_functions(boot_kernel):
    """The same events as by tracepoints, one for each call, also where rules change meanwhile."""
    tests = " ".join(f"tests/kernel/{test}" for test in _TESTS)
    job = (
        f"{PYTHON} -m etracee explain -p minimal | grep '^attached by'\n"
        f"{_SHOW_PREEMPTION}\n"
        f"{PYTHON} -m etracee explain -p minimal | grep '^attached by'\n"
        "export ETRACEE_PATIENCE=900\n"
        f"exec {PYTHON} -m pytest -n 2 -q -k fentry {tests}"
    )
    outcome = boot_kernel(job, timeout=2400)
    assert outcome.status == 0, outcome.output
    before, after, *rest = outcome.output.splitlines()
    assert before.startswith("attached by tracepoint: ")
    assert "not by fentry, since only debugfs tells whether" in before
    assert after.startswith("attached by tracepoint: ")
    assert "by fentry, which does not see all calls" in after
    assert " skipped" not in rest[-1], outcome.output
