"""Tests on the running kernel: they need root, BCC and BTF."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_run import Etracee, lacks

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("kernel")


@pytest.fixture(scope="session")
def host() -> None:
    """Skip where eBPF cannot work, with the reason."""
    if os.geteuid() != 0:
        lacks("it is not run as root")
    if importlib.util.find_spec("bcc") is None:
        lacks("BCC's Python bindings are not installed (python3-bpfcc, python3-bcc)")
    if not Path("/sys/kernel/btf/vmlinux").exists():
        lacks("this kernel has no BTF (/sys/kernel/btf/vmlinux)")


@pytest.fixture
def etracee(host: None, tmp_path: Path) -> Iterator[Etracee]:
    """Return what starts etracee; what still runs at the end of the test is killed."""
    runner = Etracee(tmp_path)
    yield runner
    runner.clean_up()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return an empty directory of the workload's own."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory
