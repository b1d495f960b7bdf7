"""What the other kernel lets a program do, where the host's may refuse it."""

from __future__ import annotations

import shlex
import sys

from etracee.kernel.bpf import PROG_TYPES


def test_every_program_type_loads(boot_kernel):
    outcome = boot_kernel(f"{shlex.quote(sys.executable)} -m etracee doctor")
    assert outcome.status == 0, outcome.output
    for kind in PROG_TYPES:
        line = next(line for line in outcome.output.splitlines() if f" {kind} programs " in line)
        assert line.split() == ["ok", kind, "programs", "load"]
