"""Rules with tests, and what `etracee test` says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etracee.problems import ExitCode


@dataclass(frozen=True)
class Told:
    """How `etracee test` ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def details(self) -> list[str]:
        """Return the lines below the problems."""
        return [line.strip() for line in self.err.splitlines() if line.startswith(" ")]


Test = Callable[..., Told]


def rule(condition: str, *tests: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "title": "Rule",
        "events": ["openat"],
        "condition": condition,
        "tests": tests,
        **keys,
    }


def event(fires: bool, **values: Any) -> dict[str, Any]:
    return {"type": "openat", **values, "fires": fires}


def series(alerts: int, *events: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"events": [{"type": "openat", **each} for each in events], "alerts": alerts, **keys}


def passes(told: Told) -> bool:
    assert told.code in (ExitCode.OK, ExitCode.WRONG_INPUT)
    assert ("0 failed" in told.out) == (told.code == ExitCode.OK) == (told.err == "")
    return told.code == ExitCode.OK


def scenario(*alerts: str, **keys: Any) -> dict[str, Any]:
    events = [{"type": "openat", "filename": "/a"}, {"type": "openat", "filename": "/b", "uid": 0}]
    return {"name": "scene", "events": events, "alerts": alerts, **keys}
