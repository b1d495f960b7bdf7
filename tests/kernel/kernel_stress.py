"""stress-ng's stressors of system calls, bounded and without privileges."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from kernel_run import needs_tool

_NOBODY = "65534"
_STRESSORS = ("syscall", "enosys", "sysbadaddr", "sysinval")
_SECONDS = "10"


def stress_calls(_work: Path) -> Sequence[str | Path]:
    """Return the command; its calls have many arguments, wrong ones too."""
    ordered = [word for name in _STRESSORS for word in (f"--{name}", "1", f"--{name}-ops", "1")]
    drop = (needs_tool("setpriv"), f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    stress = (
        needs_tool("stress-ng"),
        *ordered,
        "--timeout",
        _SECONDS,
        "--temp-path",
        tempfile.gettempdir(),
    )
    return *drop, *stress
