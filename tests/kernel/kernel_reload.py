"""An etracee whose rules change while it runs."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import select
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_run import Run, Running, exact, exact_list, unique_comm, until


@dataclass
class Reloaded:
    """An etracee whose profile and rules change while it runs."""

    running: Running
    profile: Path
    said: bytes = b""

    @property
    def pid(self) -> int:
        return self.running.process.pid

    def listen(self) -> str:
        """Return what has been said on stderr so far."""
        stderr = self.running.process.stderr
        assert stderr is not None
        while select.select([stderr], [], [], 0)[0]:
            piece = os.read(stderr.fileno(), 65536)
            if not piece:
                break
            self.said += piece
        return self.said.decode()

    def ask(self) -> None:
        self.running.process.send_signal(signal.SIGHUP)

    def await_reloads(self, count: int, word: str = "etracee: reload") -> None:
        until(lambda: self.listen().count(word) >= count, f"{count} of {word!r}", self.running)

    def reload(self, profile: Mapping[str, Any] | None = None) -> None:
        """Reload, with another profile if one is given, and wait until it is in force."""
        if profile is not None:
            write(self.profile, profile)
        before = self.listen().count("etracee: reloaded profile")
        self.ask()
        self.await_reloads(before + 1, "etracee: reloaded profile")

    def end(self) -> Run:
        self.running.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> Run:
        """Wait for the end; stderr is all that was said."""
        run = self.running.wait()
        run = Run(run.code, run.output, run.stdout, self.said.decode() + run.stderr)
        assert "Traceback" not in run.stderr, run.stderr
        return run

    def held(self) -> collections.Counter[str]:
        """Count the descriptors of the kernel's half by kind: programs, maps, links, hooks."""
        kinds: collections.Counter[str] = collections.Counter()
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                target = str(path.readlink())
                if target.startswith("anon_inode:"):
                    kinds[target] += 1
        return kinds

    def resident(self) -> int:
        """Return the memory of the process in kB, without what it shares with the kernel."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Put a new file in place, as an editor does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"name": "test", **content}))
    new.rename(path)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_pending(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"ShdPnd:\s+([0-9a-f]+)", status)
    assert found is not None
    return bool(int(found[1], 16) >> (number - 1) & 1)


def open_file(path: Path) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT))


def opens_below(directory: Path) -> dict[str, str]:
    return {"filter": f"filename startswith {directory}/"}


def check_once(found: list[bytes | None], prefix: Path, count: int, lost: int) -> None:
    """Hold what was reported against the names that were made: each once, but for what was lost."""
    wanted = collections.Counter(f"{prefix}{number}".encode() for number in range(count))
    got = collections.Counter(name for name in found if name is not None)
    missing, more = wanted - got, got - wanted
    assert missing.total() <= lost, f"{missing.total()} of {count} missing, as {min(missing)!r}"
    assert not more, f"{len(more)} reported more than once, such as {min(more)!r}"


def lost_of(run: Run) -> collections.Counter[str]:
    """Return what is told lost by event; what may be several events counts for each of them."""
    told: collections.Counter[str] = collections.Counter()
    for item in run.items:
        if item["type"] == "lost":
            told[item["event"]] += item["count"]
    several = told["sched_process_exec"]
    told["exec"] += several
    told["execve"] += several
    told["exit"] += told["sched_process_exit"]
    for name in ("openat", "execve"):
        told[name] += told["sys_exit"]
    return told


def check_load(run: Run, directory: Path, opened: int, ran: int) -> None:
    """Hold the events against what two loads made: all names, and an exit for each tool.

    What is told lost may be missing, and nothing else.
    """
    lost = lost_of(run)
    opens, runs = directory / "o-", directory / "r-"
    names = [exact(event, "filename") or b"" for event in run.of("openat")]
    made = [name for name in names if name.startswith(bytes(opens))]
    check_once(made, opens, opened, lost["openat"])
    vectors = [(exact_list(event, "argv") or [b""], event) for event in run.of("execve")]
    told = [(words[0], event) for words, event in vectors if words[0].startswith(bytes(runs))]
    check_once([name for name, _ in told], runs, ran, lost["execve"])
    tools = ran - (ran + 3) // 4
    began = collections.Counter(event["pid"] for _, event in told if event["ret"] == 0)
    for name, other in (("exit", lost["exit"]), ("exec", lost["exec"])):
        found = collections.Counter(e["pid"] for e in run.of(name) if e["comm"] == TOOL)
        assert tools - other <= found.total() <= tools, f"an {name} for each tool that ran"
        differing = (began - found).total() + (found - began).total()
        assert differing <= other + lost["execve"], f"{name} and execve of the same processes"


TOOL = unique_comm()
"""The name of the program that a load runs."""
