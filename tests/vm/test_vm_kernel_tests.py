"""The kernel tests, run inside the other kernel: one boot, and one test here for each of them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from vm_image import system_disk
from vm_machine import ASKED, CHECKOUT, BootError, boot

HERE = Path(__file__).resolve()
TIMEOUT = 3 * 3600
"""Seconds that all kernel tests may take: in emulation everything takes twenty times as long."""
SOME = (
    "test_kernel_ancestors.py::test_those_that_have_ended_are_ancestors_still",
    "test_kernel_attach.py::test_attach_types_give_the_same_events",
    "test_kernel_attach.py::test_a_32_bit_call_is_not_misread",
    "test_kernel_command.py::test_follows_threads_vforks_and_daemons_to_the_end",
    "test_kernel_context.py::test_ids_are_those_of_proc",
    "test_kernel_context.py::test_cgroup_id_is_the_inode_of_the_directory",
    "test_kernel_context.py::test_pids_are_those_of_the_host_in_a_pid_namespace",
    "test_kernel_enrich.py::test_container_that_is_gone_before_its_events_are_read",
    "test_kernel_exit.py",
    "test_kernel_path.py::test_mounts_are_crossed",
    "test_kernel_path.py::test_open_files_lie_where_proc_says",
    "test_kernel_path.py::test_programs",
)
"""Tests of what is read from the kernel's structures, for runs that have but minutes."""


@dataclass(frozen=True)
class Account:
    """What pytest reported from the guest: each test's states, with what is to be said of them."""

    states: dict[str, dict[str, str]]
    end: str
    """What the guest said last."""

    def unfinished(self) -> list[str]:
        """Return the tests during which the guest ended."""
        return [test for test, states in self.states.items() if "done" not in states]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each kernel test."""
    if not ASKED:
        metafunc.parametrize("test", ["all"])
        return
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/kernel"]
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    listed = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=own, cwd=CHECKOUT).stdout
    tests = [line for line in listed.decode().splitlines() if "::" in line]
    assert tests, f"no kernel tests are listed: {listed!r}"
    if ASKED == "some":
        chosen = tuple(f"tests/kernel/{beginning}" for beginning in SOME)
        tests = [test for test in tests if test.startswith(chosen)]
    metafunc.parametrize("test", tests)


@pytest.fixture(scope="session")
def account(request, kernel, tmp_path_factory) -> Account:
    """Boot once for all the tests that were selected here."""
    tests = [item.callspec.params["test"] for item in request.session.items if item.path == HERE]
    pytest_there = [sys.executable, "-m", "pytest", "-n", "2", "-q", "-p", "vm_report"]
    job = (
        f"export PYTHONPATH=$PYTHONPATH:{HERE.parent} ETRACEE_KERNEL_TESTS=1 ETRACEE_PATIENCE=900\n"
        f"exec {shlex.join([*pytest_there, *tests])}"
    )
    place = tmp_path_factory.mktemp("kernel-tests")
    try:
        end = boot(kernel, system_disk(), job, place, TIMEOUT).output
    except BootError as error:
        end = str(error)
    states: dict[str, dict[str, str]] = defaultdict(dict)
    for line in (place / "results").read_text().splitlines():
        report = json.loads(line)
        states[report["test"]][report["state"]] = report["said"]
    return Account(dict(states), end)


def test_passes_on_the_other_kernel(account, test):
    states = account.states.get(test)
    if states is None:
        pytest.fail(f"not begun: the guest ended during {account.unfinished()}", pytrace=False)
    if "failed" in states:
        pytest.fail(states["failed"], pytrace=False)
    if "done" not in states:
        pytest.fail(f"the guest ended in this test:\n{account.end[-6000:]}", pytrace=False)
    if "skipped" in states:
        pytest.skip(states["skipped"])
