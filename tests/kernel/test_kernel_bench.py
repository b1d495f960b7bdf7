"""`etracee bench` on the running kernel: its counts are right; its times are not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kernel_run import CHECKOUT, PATIENCE

PROFILE = {
    "name": "bench",
    "events": {"openat": {"filter": "ret >= 0"}, "connect": {}, "exit": {}},
    "options": {"ring_buffer": "8MiB"},
}


def run_bench(directory: Path, *words: str) -> dict[str, Any]:
    profile = directory / "profile.yaml"
    profile.write_text(json.dumps(PROFILE))
    done = subprocess.run(
        [sys.executable, "-m", "etracee", "bench", "--profile", str(profile), *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


@pytest.fixture
def workloads(host: None, tmp_path: Path) -> dict[str, Any]:
    report = run_bench(tmp_path, "--rounds", "1", "--format", "json")
    assert report["rounds"] == 1
    assert report["watched"] == ["openat", "connect", "exit"]
    assert report["tracer_start_to_attached_ms"]["min"] > 0
    assert report["tracer_memory_pss_kib"]["min"] > 1000
    return {workload["name"]: workload for workload in report["workloads"]}


def test_every_operation_is_counted(workloads: dict[str, Any]) -> None:
    assert list(workloads) == ["unwatched call", "open+close", "fork+exec+exit", "connect"]
    made = {"open+close": "openat", "fork+exec+exit": "exit", "connect": "connect"}
    for name, event in made.items():
        workload = workloads[name]
        operations, events = workload["operations_per_round"], workload["events"]
        assert operations > 10
        assert events["expected"] == operations
        assert events["by_name"][event]["seen"] + events["not_run"] >= operations
        assert events["delivered"] + events["filtered"] + events["lost"] >= operations
        assert workload["wall_ns_per_operation_without"]["min"] > 0
    assert workloads["unwatched call"]["events"]["expected"] == 0


def test_what_is_seen_is_delivered_filtered_or_lost(workloads: dict[str, Any]) -> None:
    for workload in workloads.values():
        for counts in workload["events"]["by_name"].values():
            assert counts["seen"] == counts["filtered"] + counts["sent"] + counts["lost"]
        sent = sum(counts["sent"] for counts in workload["events"]["by_name"].values())
        # what the host does between two looks may be in one of them only
        assert workload["events"]["delivered"] == pytest.approx(sent, rel=0.01, abs=200)


def test_command(host: None, tmp_path: Path) -> None:
    words = ("sh", "-c", "for i in 1 2 3; do cat /etc/passwd; done")
    report = run_bench(tmp_path, "--rounds", "2", "--format", "json", "--", *words)
    (workload,) = report["workloads"]
    assert workload["name"] == "command"
    assert workload["operations_per_round"] == 1
    assert workload["events"]["by_name"]["exit"]["seen"] >= 2 * 4  # sh and three cats, twice
    assert report["workload_cpu"] is None


def test_alerts_only_keeps_the_opens_of_a_rule_in_the_kernel(host: None, tmp_path: Path) -> None:
    """The workload opens no such file, so all of its opens are filtered."""
    rule = {
        "id": "absent",
        "title": "Absent",
        "events": ["openat"],
        "condition": "filename = /absent",
    }
    rules = tmp_path / "rules.yaml"
    rules.write_text(json.dumps({"rules": [rule]}))
    words = ("--rounds", "1", "--format", "json", "--rules", str(rules), "--alerts-only")
    report = run_bench(tmp_path, *words)
    assert report["alerts_only"]
    assert report["watched"] == ["openat"]
    opening = next(each for each in report["workloads"] if each["name"] == "open+close")
    counts = opening["events"]["by_name"]["openat"]
    assert counts["filtered"] >= opening["operations_per_round"]
    assert counts["sent"] == opening["events"]["delivered"] == 0
    assert 0 < opening["tracer_share_of_processor"]["median"] < 0.5
