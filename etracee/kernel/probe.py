"""What this kernel lets a program do, found out by loading tiny programs.

Neither version nor configuration tells: a kernel may refuse with EPERM what it was built with.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from etracee.kernel.assembly import RETURN_0, call, copy, load_u64
from etracee.kernel.bpf import load_program
from etracee.problems import host_lacks

TRACEFS = Path("/sys/kernel/tracing")
_TRACEFS_PLACES = (TRACEFS, Path("/sys/kernel/debug/tracing"))

_ATTACH_TYPES = {"tracing": 24, "lsm": 27}
"""BPF_TRACE_FENTRY and BPF_LSM_MAC of enum bpf_attach_type."""


_READ_TYPED = (
    call("get_current_task_btf") + copy(1, 0) + call("task_pt_regs") + load_u64(1, 0, 0) + RETURN_0
)
"""Read a saved register through pointers whose type the verifier knows."""


def load_error(kind: str, instructions: bytes = RETURN_0, target: int = 0) -> OSError | None:
    """Try to load a program; return None when the kernel takes it, else its error.

    `target` is the BTF id of the function that a tracing or lsm program is for.
    """
    try:
        os.close(load_program(kind, instructions, target, _ATTACH_TYPES.get(kind, 0)))
    except OSError as error:
        return error
    return None


def typed_loads_error(kind: str) -> OSError | None:
    """Say whether programs of `kind` can read kernel structures directly (Linux 5.15 on)."""
    return load_error(kind, _READ_TYPED)


def find_tracefs() -> Path | None:
    """Return where tracefs is mounted and readable, or None."""
    for place in _TRACEFS_PLACES:
        try:
            if (place / "events/syscalls").is_dir():
                return place
        except PermissionError:
            continue
    return None


@dataclass(frozen=True)
class Attachment:
    """How programs can be attached and how they read; `why` says why not in a better way."""

    attach: str
    typed_loads: bool
    why: str | None = None


def choose_attachment(wanted: str, preferred: str) -> Attachment:
    """Return the way that is `preferred`, or another that loads, or the one `wanted` if not auto.

    ProblemsError, with exit code 3, says what is missing when none loads.
    """
    obstacle = None
    if "tracepoint" in (wanted, preferred) and wanted != "raw_tracepoint":
        obstacle = _tracepoint_obstacle()
        if obstacle is None:
            return Attachment("tracepoint", typed_loads=True)
        if wanted == "tracepoint":
            raise host_lacks(f"attach: tracepoint cannot be used: {obstacle}", "use attach: auto")
    error = load_error("raw_tracepoint")
    if error is not None:
        raise host_lacks(f"this kernel loads no program: {error.strerror}", _permission_hint())
    return Attachment("raw_tracepoint", typed_loads_error("raw_tracepoint") is None, obstacle)


def _tracepoint_obstacle() -> str | None:
    if find_tracefs() is None:
        return f"tracefs is not mounted (mount -t tracefs tracefs {TRACEFS})"
    error = typed_loads_error("tracepoint")
    return f"the kernel refuses such a program: {error.strerror}" if error else None


def _permission_hint() -> str:
    if os.geteuid() != 0:
        return "run as root (sudo), or with CAP_BPF and CAP_PERFMON"
    return "see `etracee doctor` for what stands in the way"
