"""Run etracee on the kernel at hand, and give back what it wrote."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from etracee.catalog import load_catalog
from etracee.kernel.btf import VMLINUX, Btf
from etracee.kernel.probe import find_functions

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("ETRACEE_PATIENCE", "60"))
"""Seconds after which a process that should have ended is a failure; more in an emulator."""
PYTHON = (sys.executable, "-I", "-S")
"""A Python for workloads that reads no site-packages: fewer opens of its own."""

Event = dict[str, Any]
Profile = Mapping[str, Any] | str
"""A profile as it would stand in YAML, or the name of one."""


@dataclass(frozen=True)
class Counts:
    """One line of the summary."""

    seen: int
    filtered: int
    sent: int
    lost: int
    cut: int
    counted: int | None = None


@dataclass(frozen=True)
class Run:
    """What a run of etracee has left behind."""

    code: int
    output: bytes
    stdout: bytes
    stderr: str

    @property
    def items(self) -> list[Event]:
        """Return every line of the output, each of which must be one JSON object."""
        return parse_lines(self.output)

    @property
    def events(self) -> list[Event]:
        """Return the items that are events."""
        return [item for item in self.items if item["type"] not in ("alert", "lost", "count")]

    def of(self, *types: str) -> list[Event]:
        """Return the events of these types."""
        return [event for event in self.events if event["type"] in types]

    @property
    def summary(self) -> dict[str, Counts]:
        """Return the table at the end of stderr, by event."""
        lines = iter(self.stderr.splitlines())
        header = ["event", "seen", "filtered", "sent", "lost", "cut"]
        if not any(line.split() in (header, [*header, "counted"]) for line in lines):
            pytest.fail(f"stderr has no summary:\n{self.stderr}")
        table = {}
        for line in lines:
            name, numbers = line[:16].strip(), line[16:].removesuffix("-").split()
            if len(numbers) in (5, 6) and all(number.isdigit() for number in numbers):
                table[name] = Counts(*map(int, numbers))
        return table

    @property
    def counts(self) -> list[Event]:
        """Return the items that say how often something was counted."""
        return [item for item in self.items if item["type"] == "count"]

    @property
    def lost(self) -> int:
        """Return how much the output says was lost."""
        return sum(item["count"] for item in self.items if item["type"] == "lost")


def parse_lines(output: bytes) -> list[Event]:
    """Return one object for each line."""
    assert output == b"" or output.endswith(b"\n"), f"the last line is not whole: {output[-80:]!r}"
    found = []
    for number, line in enumerate(output.split(b"\n")[:-1], 1):
        try:
            found.append(json.loads(line.decode("utf-8")))
        except ValueError as error:
            pytest.fail(f"line {number} of the output is not JSON in UTF-8 ({error}): {line!r}")
    return found


def exact(event: Event, name: str) -> bytes | None:
    """Return the bytes of a text field: those of `raw`, where the text could not hold them."""
    value, raw = event[name], (event.get("raw") or {}).get(name)
    if raw is not None:
        return base64.b64decode(raw, validate=True)
    return None if value is None else str(value).encode()


def exact_list(event: Event, name: str) -> list[bytes] | None:
    """Return the bytes of each element of a list of texts."""
    value, raw = event[name], (event.get("raw") or {}).get(name)
    if raw is not None:
        return [base64.b64decode(element, validate=True) for element in raw]
    return None if value is None else [str(element).encode() for element in value]


def names(events: Iterable[Event], field_name: str = "filename") -> list[bytes | None]:
    """Return one text field of many events."""
    return [exact(event, field_name) for event in events]


def below(events: Iterable[Event], directory: Path, field_name: str = "filename") -> list[Event]:
    """Return the events whose name lies in `directory`: those of the workload itself."""
    prefix = os.fsencode(directory) + b"/"
    return [event for event in events if (exact(event, field_name) or b"").startswith(prefix)]


@dataclass
class Running:
    """An etracee that has been started: for runs that something is done to."""

    process: subprocess.Popen[bytes]
    output_file: Path | None
    patience: float = PATIENCE

    def read_output(self) -> bytes:
        """Return what has been written so far."""
        assert self.output_file is not None
        return self.output_file.read_bytes() if self.output_file.exists() else b""

    def await_output(self, wanted: bytes) -> None:
        """Wait until `wanted` stands in the output."""
        until(lambda: wanted in self.read_output(), f"{wanted!r} in the output", self)

    def await_attached(self, directory: Path) -> None:
        """Open a file of a unique name until one such event has come: then all are seen."""
        name = directory / f"attached-{uuid.uuid4().hex}"

        def was_seen() -> bool:
            name.exists()
            os.close(os.open(name, os.O_RDONLY | os.O_CREAT))
            return name.name.encode() in self.read_output()

        until(was_seen, "an event of a file that was opened over and over", self)

    def end(self, number: int = signal.SIGINT) -> Run:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> Run:
        """Wait for the end."""
        stdout, stderr = self.process.communicate(timeout=self.patience)
        output = self.read_output() if self.output_file else stdout
        return Run(self.process.returncode, output, stdout, stderr.decode())


def until(condition: Callable[[], bool], what: str, running: Running | None = None) -> None:
    """Poll `condition`; a failure names what did not come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain for {what}")
        if running is not None and running.process.poll() is not None:
            run = running.wait()
            pytest.fail(f"etracee ended with {run.code}, no {what}; stderr:\n{run.stderr}")
        select.select([], [], [], 0.01)


@dataclass
class Etracee:
    """Starts etracee, with its files in `directory`; it may run for `patience` seconds."""

    directory: Path
    patience: float = PATIENCE
    started: list[Running] = field(default_factory=list)

    def start(
        self,
        profile: Profile,
        *command: str | bytes | Path,
        options: Sequence[str | bytes] = (),
        to_stdout: bool = False,
        **popen: Any,
    ) -> Running:
        """Start `etracee run`, on COMMAND or without one on the whole host."""
        output = None if to_stdout else self.directory / f"output-{uuid.uuid4().hex}.json"
        words: list[str | bytes | Path] = [sys.executable, "-m", "etracee", "run"]
        words += ["-p", self.write_profile(profile), *options]
        words += ["-o", output] if output else []
        words += ["--", *command] if command else []
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=popen.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            **{"cwd": self.directory, **popen},
        )
        running = Running(process, output, self.patience)
        self.started.append(running)
        return running

    def run(
        self,
        profile: Profile,
        *command: str | bytes | Path,
        code: int | None = 0,
        options: Sequence[str | bytes] = (),
        to_stdout: bool = False,
        **popen: Any,
    ) -> Run:
        """Run to the end, which must come with exit code `code`, where one is given."""
        run = self.start(profile, *command, options=options, to_stdout=to_stdout, **popen).wait()
        if code is not None and run.code != code:
            pytest.fail(f"exit code {run.code}, {code} was expected; stderr:\n{run.stderr}")
        assert "Traceback" not in run.stderr, f"a traceback on stderr:\n{run.stderr}"
        return run

    def write_profile(self, profile: Profile) -> str:
        """Return what --profile is given: JSON is YAML too."""
        if isinstance(profile, str):
            return profile
        path = self.directory / f"profile-{uuid.uuid4().hex}.yaml"
        path.write_text(json.dumps({"name": "test", **profile}))
        return str(path)

    def clean_up(self) -> None:
        """End what a failed test has left running."""
        for running in self.started:
            if running.process.poll() is None:
                running.process.kill()
                running.process.communicate()


def lacks(what: str) -> NoReturn:
    """Skip the test, since the host lacks something; a failure where the tests are demanded."""
    if os.environ.get("ETRACEE_KERNEL_TESTS") == "1":
        pytest.fail(f"ETRACEE_KERNEL_TESTS=1 demands this test, but {what}")
    pytest.skip(what)


def fentry_obstacle() -> str | None:
    """Say what keeps programs at the kernel's functions from this host, which many have."""
    if os.geteuid() != 0 or not VMLINUX.is_file():
        return "only root can ask a kernel that has BTF"
    with Btf() as btf:
        return find_functions(btf, [f"{load_catalog().registers.function}openat"]).obstacle


OBSTACLE = fentry_obstacle()
FENTRY = pytest.param(
    "fentry", marks=pytest.mark.skipif(OBSTACLE is not None, reason=f"no fentry: {OBSTACLE}")
)
"""The way of attaching that not every kernel takes: nobody can demand it of a host."""
each_attach = pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint", FENTRY])


def needs_tool(name: str) -> str:
    """Return the path of a program that the test needs."""
    found = shutil.which(name)
    if found is None:
        lacks(f"there is no {name}")
    return found


def unique_comm() -> str:
    """Return a thread's name that no other test uses, at most 15 bytes."""
    return f"t-{uuid.uuid4().hex[:12]}"


def script(directory: Path, text: str, name: str = "workload.py") -> tuple[str | Path, ...]:
    """Write a Python program and return the command that runs it.

    It finds libc, os, sys, signal, socket and threading imported.
    """
    path = directory / name
    path.write_text(f"import ctypes, os, signal, socket, sys, threading\n{_LIBC}\n{text}")
    return (*PYTHON, path)


def compile_c(directory: Path, text: str, *options: str, name: str = "program") -> Path:
    """Compile a C program and return its path."""
    program, source = directory / name, directory / f"{name}.c"
    source.write_text(text)
    subprocess.run([needs_tool("cc"), "-O1", *options, "-o", program, source], check=True)
    return program


_LIBC = "libc = ctypes.CDLL(None, use_errno=True)"
