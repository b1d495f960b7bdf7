"""Explanations of profiles and rules that a test writes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hostc

from etracee.explain import Attachment, Explanation, explain
from etracee.explain.model import Decision
from etracee.plan import Request, make_plan
from etracee.source_set import load_source_set

Etracee = Callable[..., "subprocess.CompletedProcess[str]"]
SCHEMA = Path(__file__).parents[1] / "docs" / "schema" / "explanation.json"
EXEC = {"execve": {}, "execveat": {}}
"""Events without siblings."""


def explained(
    directory: Path,
    profile: Mapping[str, Any],
    *rules: Mapping[str, Any],
    request: Request = Request(),  # noqa: B008 - frozen
) -> Explanation:
    file = hostc.write_yaml(directory / "p.yaml", {"name": "test", **profile})
    named = []
    if rules:
        written = [{"id": f"r{i}", "title": "R", **rule} for i, rule in enumerate(rules)]
        named.append(str(hostc.write_yaml(directory / "r.yaml", {"rules": written})))
    source = load_source_set(str(file), tuple(named), "x86_64")
    plan = make_plan(source.profile, source.rules, request, source.catalog)
    return explain(source, plan, Attachment("tracepoint", "as was asked for"), cpus=2)


def rule(condition: str | None = None, *events: str, **more: Any) -> dict[str, Any]:
    condition = condition or "tid exists"
    return {"events": [*(events or ("$execute",))], "condition": condition, **more}


def only_decision(explanation: Explanation) -> Decision:
    ((decision,),) = [step.decisions for rule in explanation.rules for step in rule.steps]
    return decision


def reasons(decision: Decision) -> dict[str, str | None]:
    return {clause.text: clause.because for clause in decision.clauses}
