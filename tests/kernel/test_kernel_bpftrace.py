"""bpftrace in the same run is a second, independent count."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

from kernel_run import CHECKOUT, PATIENCE, Etracee, needs_tool, script, unique_comm, until

SCRIPT = CHECKOUT / "tests" / "bpftrace_test.bt"

WORKLOAD = """
libc.prctl(15, name, 0, 0, 0)
def work(turns):
    libc.prctl(15, name, 0, 0, 0)
    for turn in range(turns):
        libc.openat(-100, b"/no/such/file", 0)
        libc.openat(-100, None, 0)
threads = [threading.Thread(target=work, args=(500,)) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for turn in range(7):
    libc.connect(-1, b"\\2\\0" + bytes(14), 16)
for turn in range(5):
    if os.fork() == 0:
        libc.execve(b"/no/such/program", None, None)
        work(turn)
        os._exit(turn)
    os.wait()
os._exit(0)
"""
DONE = {"openat": 3000 + 20, "connect": 7, "execve": 5, "exit": 6}
"""What the workload does under its own name."""


def test_bpftrace_counts_the_same(etracee: Etracee, work: Path, tmp_path: Path) -> None:
    name = unique_comm()
    counted = tmp_path / "counted"
    with counted.open("wb") as file:
        bpftrace = subprocess.Popen(
            [needs_tool("bpftrace"), "-B", "line", SCRIPT, name],
            stdout=file,
            stderr=subprocess.PIPE,
        )
    try:
        until(lambda: "counting" in counted.read_text(), "bpftrace's start")
        run = etracee.run("minimal", *script(work, f"name = {name.encode()!r}\n{WORKLOAD}"))
    finally:
        bpftrace.terminate()
        _, stderr = bpftrace.communicate(timeout=PATIENCE)
    found = re.findall(r"@calls\[(\w+)\]: (\d+)", counted.read_text())
    theirs = {event: int(count) for event, count in found}
    ours = Counter(event["type"] for event in run.events if event["comm"] == name)
    assert theirs == DONE, f"bpftrace has counted otherwise; stderr: {stderr.decode()}"
    assert dict(ours) == DONE
