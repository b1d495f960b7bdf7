"""A plugin for the pytest in the guest: each report goes to descriptor 3 as soon as it is there."""

from __future__ import annotations

import json
import os

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write one line of JSON: which test, which part of it, how it went and what is to be said."""
    said = (
        report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    ) + "".join(f"\n---- {title} ----\n{text}" for title, text in report.sections)
    line = {"test": report.nodeid, "outcome": report.outcome, "part": report.when, "said": said}
    os.write(3, json.dumps(line).encode() + b"\n")
