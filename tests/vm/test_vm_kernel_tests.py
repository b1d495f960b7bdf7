"""The kernel tests, run inside the other kernel: one boot, and one test here for each of them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from vm_machine import ASKED, CHECKOUT, BootError, boot

HERE = Path(__file__).resolve()
TIMEOUT = 3600
"""Seconds that all kernel tests may take in emulation."""


@dataclass(frozen=True)
class Account:
    """What pytest reported from the guest: each test's states, with what is to be said of them."""

    states: dict[str, dict[str, str]]
    end: str
    """How the guest ended, where it did not come to the end of its job."""

    def unfinished(self) -> list[str]:
        """Return the tests during which the guest ended."""
        return [test for test, states in self.states.items() if "done" not in states]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each kernel test."""
    if not ASKED:
        metafunc.parametrize("test", ["all"])
        return
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/kernel"]
    listed = subprocess.run(words, check=True, capture_output=True, text=True, cwd=CHECKOUT).stdout
    metafunc.parametrize("test", [line for line in listed.splitlines() if "::" in line])


@pytest.fixture(scope="session")
def account(request, kernel, tmp_path_factory) -> Account:
    """Boot once for all the tests that were selected here."""
    tests = [item.callspec.params["test"] for item in request.session.items if item.path == HERE]
    pytest_there = [sys.executable, "-m", "pytest", "-n", "2", "-q", "-p", "vm_report"]
    job = (
        f"export PYTHONPATH=$PYTHONPATH:{HERE.parent} ETRACEE_KERNEL_TESTS=1\n"
        f"exec {shlex.join([*pytest_there, *tests])}"
    )
    place, end = tmp_path_factory.mktemp("kernel-tests"), ""
    try:
        boot(kernel, job, place, TIMEOUT)
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
        pytest.fail(account.end or "the guest's pytest ended in this test", pytrace=False)
    if "skipped" in states:
        pytest.skip(states["skipped"])
