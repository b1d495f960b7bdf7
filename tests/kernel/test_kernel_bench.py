"""`etracee bench` on the running kernel: its counts are right; its times are not judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_run import CHECKOUT, PATIENCE

PROFILE = {
    "name": "bench",
    "events": {"openat": {"filter": "ret >= 0"}, "connect": {}, "exit": {}},
    "options": {"ring_buffer": "8MiB"},
}


def etracee(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "etracee", *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_bench(directory: Path, *words: str) -> dict[str, Any]:
    profile = directory / "profile.yaml"
    profile.write_text(json.dumps(PROFILE))
    report = json.loads(etracee("bench", "--profile", str(profile), *words))
    assert isinstance(report, dict)
    return report


@pytest.fixture
def workloads(host: None, tmp_path: Path) -> dict[str, Any]:
    report = run_bench(tmp_path, "--rounds", "1", "--format", "json")
    assert report["rounds"] == 1
    assert report["watched"] == ["openat", "connect", "exit"]
    assert report["tracer_launch_to_first_event_ms"]["min"] > 0
    assert any(program["verified"] > 100 for program in report["programs"])
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


PACED = """
import os, sys, time
wanted, other, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
start, done = time.monotonic(), 0
while os.getppid() == int(sys.argv[4]):
    for _ in range(int((time.monotonic() - start) * rate) - done):
        os.close(os.open(wanted, os.O_RDONLY))
        os.close(os.open(other, os.O_RDONLY))
        done += 1
    time.sleep(0.005)
"""
RATE = 1000.0


@pytest.fixture
def paced(tmp_path: Path) -> Iterator[Path]:
    """Yield the file that is opened RATE times a second, on the whole; another is as often."""
    files = [tmp_path / name for name in ("wanted", "other")]
    for file in files:
        file.touch()
    words = [sys.executable, "-c", PACED, *map(str, files), str(RATE), str(os.getpid())]
    with subprocess.Popen(words) as process:
        yield files[0]
        process.kill()


def test_forecast_is_what_a_run_then_delivers(host: None, tmp_path: Path, paced: Path) -> None:
    profile = tmp_path / "paced.yaml"
    events = {"openat": {"filter": f"filename = {paced}"}, "mount": {}}
    profile.write_text(json.dumps({"name": "paced", "events": events}))
    words = ("bench", "--profile", str(profile), "--forecast", "3s", "--format", "json")
    forecast = json.loads(etracee(*words))
    opening, mounting = forecast["events"]
    assert opening["sent_per_second"] == pytest.approx(RATE, rel=0.1)
    assert opening["delivered_per_second"] == opening["sent_per_second"]
    assert opening["seen_per_second"] > 1.9 * opening["sent_per_second"]
    assert opening["peak_sent_per_second"] >= opening["sent_per_second"]
    assert mounting["sent_per_second"] == 0
    assert forecast["calls_per_second"] > 4 * 0.9 * RATE
    assert 0 < forecast["own_share_of_processor"] < 0.2
    assert 0 < forecast["hooks_share_of_host"] < 0.05
    assert forecast["ring"]["lost_share"] == 0
    lines = etracee("run", "--profile", str(profile), "--duration", "1s").splitlines()
    written = sum(len(line) + 1 for line in lines) / len(lines)
    expected = opening["written_bytes_per_second"] / opening["delivered_per_second"]
    assert written == pytest.approx(expected, rel=0.01)


def test_forecast_weighs_what_a_run_puts_into_the_ring(
    host: None, tmp_path: Path, paced: Path
) -> None:
    """The ring's own position, in which headers and padding are, is the witness."""
    profile = tmp_path / "paced.yaml"
    event = {"openat": {"filter": f"filename = {paced}"}}
    profile.write_text(json.dumps({"name": "paced", "events": event}))
    words = ("bench", "--profile", str(profile), "--format", "json")
    (opening,) = json.loads(etracee(*words, "--forecast", "1s"))["events"]
    report = json.loads(etracee(*words, "--rounds", "1", "--", "sleep", "1"))
    (workload,) = report["workloads"]
    assert workload["events"]["delivered"] > 100
    assert opening["ring_bytes_per_event"] == workload["bytes"]["ring_per_event"]


def test_two_profiles_take_turns(host: None, tmp_path: Path) -> None:
    for name, context in (("small", ["pid"]), ("large", ["pid", "ppid", "uid", "gid", "comm"])):
        profile = {"name": name, "context": context, "events": {"openat": {}}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(profile))
    large, small = (str(tmp_path / f"{name}.yaml") for name in ("large", "small"))
    words = ("bench", "--profile", large, "--rounds", "1", "--format", "json")
    saved = tmp_path / "saved.json"
    saved.write_text(etracee(*words, "--against", small))
    report = json.loads(saved.read_text())
    sizes = [
        next(w["bytes"]["ring_per_event"] for w in one["workloads"] if w["name"] == "open+close")
        for one in (report, report["against"])
    ]
    assert sizes[0] > sizes[1] + 16
    text = etracee("bench", "--profile", small, "--rounds", "1", "--compare", str(saved))
    (row,) = (
        line for line in text.splitlines() if line.startswith("etracee  ") and "instr" in line
    )
    assert int(row.split()[-2].replace(",", "").partition(".")[0]) == sum(
        program["instructions"] for program in report["against"]["programs"]
    )


def test_what_a_program_costs_the_verifier(host: None) -> None:
    text = etracee("generate", "--profile", "minimal", "--stats")
    rows = {words[0]: words[1:] for words in map(str.split, text.splitlines()[1:])}
    instructions, verified = (int(word.replace(",", "")) for word in rows["sys_exit_openat"])
    assert 50 < instructions < 500
    assert verified >= 50
    assert rows["in"][0] == "all"
