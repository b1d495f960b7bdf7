"""The tools that are compared: how each is started, what it writes, how it can be had."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loads import BUILDING, CONNECTING, OPENING, STARTING, UID, UNWATCHED, WORKS, Work

from etracee.bench.load import environment

ETRACEE = (sys.executable, "-m", "etracee")
_WATCHED = ("execve", "openat", "connect", "exit")


@dataclass(frozen=True)
class Tool:
    """A tool that watches.

    `command` returns the words that start it for a work, and the file of its output. `wraps` tells
    that these words stand before those of the work: these tools follow only what they start.
    `first` are the words with which it shows a first event on a terminal, as soon as it can.
    `events` finds its lines by event.
    """

    name: str
    program: str
    how_to_get: str
    works: Sequence[Work]
    command: Callable[[Work, Path], Sequence[str]]
    first: Sequence[str]
    events: Mapping[str, re.Pattern[bytes]]
    wraps: bool = False
    writes_stdout: bool = False
    poke: Work = OPENING

    @property
    def is_there(self) -> bool:
        """Say whether it is installed."""
        return shutil.which(self.program) is not None

    def count(self, output: bytes) -> dict[str, int]:
        """Return the events that were delivered, by name."""
        return {name: len(found.findall(output)) for name, found in self.events.items()}


def make_tools(directory: Path) -> list[Tool]:
    """Return all tools; files they need are written to `directory`."""
    execve = directory / "execve.yaml"
    execve.write_text("name: execve\nevents:\n  execve: {}\n")
    cut = directory / "cut.yaml"
    cut.write_text("name: cut\nextends: [minimal]\ncontext: [pid]\n")
    return [
        _etracee("etracee", "minimal", execve),
        _etracee("etracee, pid alone", str(cut), execve, (OPENING,)),
        *_compiling(execve),
        _bpftrace(directory),
        _perf(),
        _strace(),
        *_libbpf_tools(),
    ]


def _lines_with(pattern: str, names: Sequence[str]) -> dict[str, re.Pattern[bytes]]:
    return {name: re.compile(pattern.format(name).encode(), re.MULTILINE) for name in names}


def _etracee(name: str, profile: str, execve: Path, works: Sequence[Work] = WORKS) -> Tool:
    def command(work: Work, output: Path) -> Sequence[str]:
        chosen = str(execve) if work is UNWATCHED else profile
        words = ("run", "--profile", chosen, "--uid", str(UID), "--format", "json")
        return (*ETRACEE, *words, "--output", str(output))

    return Tool(
        name=name,
        program=sys.executable,
        how_to_get="./setup.sh",
        works=works,
        command=command,
        first=(*ETRACEE, "run", "--profile", profile, "--format", "json"),
        events=_lines_with('"type":"{}"', _WATCHED),
    )


def _compiling(execve: Path) -> list[Tool]:
    """Return etracee without the program that an earlier start has kept, where it keeps any."""
    words = [*ETRACEE, "run", "--help"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=environment())
    if "--no-cache" not in said.stdout:
        return []
    tool = _etracee("etracee, compiling", "minimal", execve, ())
    return [replace(tool, first=(*tool.first, "--no-cache"))]


_SCRIPT = {
    "openat": """tracepoint:syscalls:sys_enter_openat {filter} {{
  printf("openat %d %d %d %s %s %d\\n",
         pid, uid, gid, comm, str(args->filename), args->flags); }}""",
    "execve": """tracepoint:syscalls:sys_enter_execve {filter} {{
  printf("execve %d %d %d %s ", pid, uid, gid, comm); join(args->argv); }}""",
    "connect": """tracepoint:syscalls:sys_enter_connect {filter} {{
  printf("connect %d %d %d %s %d\\n", pid, uid, gid, comm, args->fd); }}""",
    "exit": """tracepoint:sched:sched_process_exit {filter} {{
  printf("exit %d %d %d %s\\n", pid, uid, gid, comm); }}""",
}
"""What etracee's profile minimal tells, as far as bpftrace does in one line at the call's entry."""


def _bpftrace(directory: Path) -> Tool:
    only = f"/uid == {UID}/"
    whole, execve = directory / "watch.bt", directory / "execve.bt"
    whole.write_text("\n".join(text.format(filter=only) for text in _SCRIPT.values()))
    execve.write_text(_SCRIPT["execve"].format(filter=only))

    def command(work: Work, output: Path) -> Sequence[str]:
        script = execve if work is UNWATCHED else whole
        return ("bpftrace", "-B", "full", "-o", str(output), str(script))

    return Tool(
        name="bpftrace",
        program="bpftrace",
        how_to_get="apt-get install bpftrace",
        works=WORKS,
        command=command,
        first=("bpftrace", "-q", "-B", "none", "-e", _SCRIPT["openat"].format(filter="")),
        events=_lines_with(r"^{} \d", _WATCHED),
    )


def _perf() -> Tool:
    calls = ("execve", "openat", "connect", "exit_group")

    def command(work: Work, output: Path) -> Sequence[str]:
        watched = "execve" if work is UNWATCHED else ",".join(calls)
        return ("perf", "trace", "-e", watched, "-o", str(output), "--")

    events = _lines_with(r"\b{}\(", calls)
    return Tool(
        name="perf trace",
        program="perf",
        how_to_get="apt-get install linux-perf",
        works=WORKS,
        command=command,
        first=("perf", "trace", "-a", "-e", "openat"),
        events={"exit" if name == "exit_group" else name: found for name, found in events.items()},
        wraps=True,
    )


def _strace() -> Tool:
    calls = ("execve", "openat", "connect", "exit_group")

    def command(work: Work, output: Path) -> Sequence[str]:
        watched = "execve" if work is UNWATCHED else ",".join(calls)
        return ("strace", "-f", "--seccomp-bpf", "-e", f"trace={watched}", "-o", str(output))

    events = _lines_with(r"^(?:\d+ +)?{}\(", calls)
    return Tool(
        name="strace",
        program="strace",
        how_to_get="apt-get install strace",
        works=WORKS,
        command=command,
        first=("strace", "-f", "--seccomp-bpf", "-e", "trace=execve", "/bin/true"),
        events={"exit" if name == "exit_group" else name: found for name, found in events.items()},
        wraps=True,
    )


def _libbpf_tools() -> list[Tool]:
    made = []
    for name, event, works in (
        ("opensnoop", "openat", (OPENING, BUILDING)),
        ("execsnoop", "execve", (UNWATCHED, STARTING, BUILDING)),
        ("tcpconnect", "connect", (CONNECTING,)),
    ):
        words = (name, "-u", str(UID))
        made.append(
            Tool(
                name=f"libbpf {name}",
                program=name,
                how_to_get="apt-get install libbpf-tools",
                works=works,
                command=lambda _work, _output, words=words: words,
                first=(name,),
                events={
                    event: re.compile(rb"^(?!PID|PCOMM|Tracing|libbpf|failed).+$", re.MULTILINE)
                },
                writes_stdout=True,
                poke={"openat": OPENING, "execve": STARTING, "connect": CONNECTING}[event],
            )
        )
    return made
