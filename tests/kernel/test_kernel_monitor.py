"""The process that stays is a small one: what compiles has ended."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kernel_run import Etracee, script

HEAVY = ("libbcc", "libLLVM", "libclang", "pydantic", "jinja2", "lark", "yaml", "_re2", "libbpf")


def test_the_monitor_holds_nothing_of_the_compiler(etracee: Etracee, work: Path) -> None:
    text = f"open({str(work / 'x')!r}, 'w')\nsignal.pause()"
    running = etracee.start("minimal", *script(work, text))
    running.await_output(os.fsencode(work / "x"))
    process = Path(f"/proc/{running.process.pid}")
    maps = (process / "maps").read_text()
    files = {line.split(maxsplit=5)[5] for line in maps.splitlines() if line.count("/")}
    heavy = [file for file in files if any(re.search(word, Path(file).name) for word in HEAVY)]
    children = (process / f"task/{running.process.pid}/children").read_text().split()
    resident = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
    running.end()
    assert not heavy, f"mapped by the monitor: {heavy}"
    assert len(children) == 1, f"the monitor's children, besides COMMAND: {children}"
    assert resident is not None
    assert int(resident[1]) < 60_000, (
        f"{resident[1]} kB resident; a process that compiles has 120,000"
    )


def test_nothing_stays_behind(etracee: Etracee, work: Path) -> None:
    """Temporary directories are gone as soon as the program is loaded, programs at the end."""
    temporary = work / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    run = etracee.run("minimal", "ls", "-A", temporary, env=environment)
    assert run.stdout == b"", f"left in TMPDIR while COMMAND runs: {run.stdout!r}"
    assert list(temporary.iterdir()) == []
