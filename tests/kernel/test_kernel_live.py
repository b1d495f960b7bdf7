"""`etracee test --live`: commands for real, each by itself, and what is said of their rules."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from kernel_run import CHECKOUT, PATIENCE, until

pytestmark = pytest.mark.usefixtures("host")


def rule(name: str, directory: Path, **keys: Any) -> dict[str, Any]:
    """Return a rule on files of that name in `directory`, which no other test opens."""
    return {
        "id": name,
        "title": name,
        "events": ["$open"],
        "condition": f"filename = {directory}/{name}",
        "output": "{comm} opened it",
        **keys,
    }


def write(directory: Path, *rules: dict[str, Any]) -> str:
    path = directory / "rules.yaml"
    path.write_text(json.dumps({"rules": rules}))
    return str(path)


def run(path: str, *options: str, code: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "etracee", "test", "--live", *options, path]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=CHECKOUT
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_each_rule_has_its_line(work: Path) -> None:
    opens = "cat {}/{} 2>/dev/null; true"
    path = write(
        work,
        rule("good", work, trigger=opens.format(work, "good"), near_miss=f"ls {work}/good; true"),
        rule("silent", work, trigger=f"echo why >&2; cat {work}/other 2>/dev/null; exit 3"),
        rule("loud", work, trigger=opens.format(work, "loud"), near_miss=f"echo >{work}/loud"),
        rule("idle", work, trigger=opens.format(work, "idle"), near_miss="no-such-program"),
        rule("plain", work),
    )
    lines = run(path, code=2).stdout.splitlines()
    idle = lines.pop(3)
    assert lines == [
        "good: ok",
        "silent: did not fire (the command ended with 3: why)",
        "loud: near miss fired: sh opened it",
        "without trigger: plain",
        "4 rules tried, 1 ok, 3 failed",
    ]
    assert idle.startswith("idle: near miss proves nothing (the command ended with 127: ")
    assert "no-such-program" in idle
    done = run(path, "--rule", "good", code=0)
    assert done.stdout == "good: ok\n1 rules tried, 1 ok, 0 failed\n"


def test_commands_know_nothing_of_each_other(work: Path) -> None:
    """Each has an empty directory, which goes away, and an empty input; windows begin anew."""
    look = (
        f"pwd >>{work}/seen; ls -A >>{work}/seen; cat >>{work}/seen; echo >left; cat {work}/twice"
    )
    twice = {"count": 2, "within": "1m"}
    path = write(work, rule("twice", work, threshold=twice, trigger=look, near_miss=look))
    (work / "twice").touch()
    assert run(path, code=2).stdout.startswith("twice: did not fire\n")
    directories = [Path(line) for line in (work / "seen").read_text().splitlines()]
    assert len(set(directories)) == 2
    assert not any(directory.exists() for directory in directories)


def test_others_do_not_count(work: Path) -> None:
    """Somebody else does, all the time, what the rule waits for."""
    (work / "busy").touch()
    ended = threading.Event()

    def do() -> None:
        while not ended.wait(0.001):
            (work / "busy").read_bytes()

    other = threading.Thread(target=do)
    other.start()
    try:
        path = write(work, rule("busy", work, trigger=f"cat {work}/busy", near_miss="sleep 0.2"))
        assert run(path, code=0).stdout.startswith("busy: ok\n")
    finally:
        ended.set()
        other.join()


IMPATIENT = """
import sys
from etracee.testing import live
live.PATIENCE = 0.5
with live.attach_rules((sys.argv[1],)) as rules:
    for command in sys.argv[2:]:
        trial = rules.try_command(command)
        print(trial.is_late, trial.code, *(alert.rule for alert in trial.alerts))
"""


def test_what_does_not_end_is_ended(work: Path) -> None:
    (work / "late").touch()
    path = write(work, rule("late", work))
    look = f"cat {work}/late"
    endless = f"sleep 1000 & echo $! >{work}/pid; {look}; setsid sleep 1000; {look}"
    words = [sys.executable, "-c", IMPATIENT, path, endless, look]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.splitlines() == ["True 137 late", "False 0 late"]
    pid = int((work / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the end of a descendant")


def test_a_wrong_rule_is_told_before_anything_runs(work: Path) -> None:
    path = write(work, rule("r", work, trigger=f"touch {work}/ran") | {"condition": "uidd = 0"})
    done = run(path, code=2)
    assert "no event here has a field 'uidd'" in done.stderr
    assert done.stdout == ""
    assert [file.name for file in work.iterdir()] == ["rules.yaml"]
