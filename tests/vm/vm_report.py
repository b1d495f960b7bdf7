"""A plugin for the pytest in the guest: what it does goes to descriptor 3 as soon as it is done."""

from __future__ import annotations

import json
import os

import pytest


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write one line of JSON: this test begins."""
    _write(nodeid, "begun", "")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write one line of JSON: how a part of the test went, and what is to be said of it."""
    skip = report.longrepr if isinstance(report.longrepr, tuple) else None
    said = skip[2] if skip else report.longreprtext  # of a skip, (file, line, reason)
    said += "".join(f"\n---- {title} ----\n{text}" for title, text in report.sections)
    outcome = report.outcome
    if outcome == "passed":
        outcome, said = "done" if report.when == "teardown" else "going on", ""
    _write(report.nodeid, outcome, said)


def _write(test: str, state: str, said: str) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # what a worker reports, the process that started it reports again
    os.write(3, json.dumps({"test": test, "state": state, "said": said}).encode() + b"\n")
