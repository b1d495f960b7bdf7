"""Tests that boot other kernels under QEMU: minutes long, so only where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from vm_image import system_disk
from vm_kernel import Kernel, debian_kernel
from vm_machine import ASKED, Outcome, boot

HERE = Path(__file__).resolve().parent

Boot = Callable[..., Outcome]
"""Boots the other kernel for a job, a shell script; more than `timeout` seconds are a failure."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what boots a machine, unless it is asked for."""
    if ASKED:
        return
    skip = pytest.mark.skip(reason="boots another kernel: ./setup.sh test --kernels")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """Return Debian 12's kernel, Linux 6.1."""
    return debian_kernel()


@pytest.fixture(scope="session")
def boot_kernel(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """Return the function that boots the other kernel for a job."""

    def run(job: str, timeout: float = 600, copied: Sequence[Path] = ()) -> Outcome:
        return boot(kernel, system_disk(), job, tmp_path_factory.mktemp("vm"), timeout, copied)

    return run
