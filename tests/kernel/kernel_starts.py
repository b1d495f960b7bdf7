"""Starts of etracee with a directory of their own for programs, with and without a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel_run import CHECKOUT, PATIENCE, Event, Run, parse_lines, until

VARYING = ("timestamp", "human_time", "pid", "ppid", "tid", "child_pid", "from", "to")


@dataclass
class Starts:
    """Starts etracee with a directory of its own for programs; words `before` may run it."""

    directory: Path
    checkout: Path = CHECKOUT
    before: tuple[str, ...] = ()
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kept: Path = field(init=False)

    def __post_init__(self) -> None:
        self.kept = self.directory / "kept"
        broken = self.directory / "broken"
        broken.mkdir()
        (broken / "bcc.py").write_text("raise ImportError('there is none')\n")

    def start(self, *words: str | Path, compiles: bool = True) -> subprocess.Popen[bytes]:
        places = [self.checkout] if compiles else [self.directory / "broken", self.checkout]
        path = os.pathsep.join(map(str, places))
        process = subprocess.Popen(
            [*self.before, sys.executable, "-m", "etracee", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": path, "CACHE_DIRECTORY": str(self.kept)},
        )
        self.processes.append(process)
        return process

    def run(self, *words: str | Path, compiles: bool = True, code: int = 0) -> Run:
        process = self.start(*words, compiles=compiles)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        said = stderr.decode()
        assert process.returncode == code, said
        assert "Traceback" not in said, said
        return Run(process.returncode, stdout, stdout, said)

    def trace(
        self,
        profile: str | Path,
        *command: str | Path,
        options: Sequence[str] = (),
        compiles: bool = True,
    ) -> Run:
        """Run a profile on a command."""
        output = self.directory / "events.json"
        words = ("run", "-p", profile, "-o", output, *options, "--", *command)
        run = self.run(*words, compiles=compiles)
        return Run(run.code, output.read_bytes(), run.stdout, run.stderr)

    def is_kept(self, *words: str | Path) -> bool:
        """Say whether such a run needs no compiler."""
        process = self.start("run", *words, "--", "true", compiles=False)
        process.communicate(timeout=PATIENCE)
        return bool(process.returncode == 0)

    def entries(self) -> list[Path]:
        return sorted(self.kept.glob("*")) if self.kept.is_dir() else []

    def clean_up(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            for file in (process.stdout, process.stderr):
                if file is not None:
                    file.close()
            process.wait()


def compared(items: list[Event]) -> list[Event]:
    """Return the items with what differs from run to run numbered by its first appearance."""
    numbers: dict[object, int] = {}

    def plain(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: plain(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [plain(each) for each in value]
        return numbers.setdefault(value, len(numbers)) if key in ("pid", "tid") else value

    def cut(item: Event) -> Event:
        kept = {k: v for k, v in item.items() if k not in VARYING or k in ("pid", "tid")}
        return {**kept, "events": list(map(cut, item["events"]))} if "events" in item else kept

    return [plain(cut(item)) for item in items]


class Listener:
    """What a process says on stderr."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self._file, self.text = process.stderr, b""
        os.set_blocking(self._file.fileno(), False)

    def await_text(self, wanted: str) -> None:
        def has_come() -> bool:
            self.text += self._file.read() or b""
            return wanted.encode() in self.text

        until(has_come, f"{wanted!r} on stderr")


def opened(directory: Path, output: Path, name: str) -> None:
    """Open a file of that name until it is told; each attempt has a number of its own."""
    attempts = iter(range(10**6))

    def is_told() -> bool:
        (directory / f"{name}-{next(attempts)}").touch()
        return output.exists() and f"/{name}-".encode() in output.read_bytes()

    until(is_told, f"an event of {name}")


def assert_each_once(output: Path, directory: Path, names: tuple[str, ...]) -> None:
    told = [event["filename"] for event in parse_lines(output.read_bytes()) if "filename" in event]
    for name in names:
        own = [file for file in told if str(file).startswith(f"{directory}/{name}-")]
        assert own
        assert len(own) == len(set(own)), f"{name} is told twice"
