"""What all tests share: bounded property tests, and the tool called as a user calls it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "etracee",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("etracee")

os.environ["CACHE_DIRECTORY"] = tempfile.mkdtemp(prefix="etracee-tests-")
"""Programs that tests compile are kept there, and not where the host keeps its own."""
atexit.register(shutil.rmtree, os.environ["CACHE_DIRECTORY"], ignore_errors=True)
os.environ["STATE_DIRECTORY"] = str(Path(os.environ["CACHE_DIRECTORY"], "state"))
"""There is nothing: what was measured on the host is no business of the tests."""

Etracee = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the command line: words, and optionally `cwd`."""


@pytest.fixture(scope="session")
def etracee() -> Etracee:
    """Return the function that runs `etracee WORDS…`; longer than 10 s is a failure."""

    def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "etracee", *map(str, words)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            cwd=cwd,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )

    return run
