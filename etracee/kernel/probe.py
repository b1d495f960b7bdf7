"""What this kernel lets a program do, found out by loading tiny programs.

Neither version nor configuration tells: a kernel may refuse with EPERM what it was built with.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etracee.kernel.assembly import RETURN_0, call, copy, load_u64
from etracee.kernel.bpf import load_program
from etracee.problems import host_lacks

if TYPE_CHECKING:
    from etracee.kernel.btf import Btf

TRACEFS = Path("/sys/kernel/tracing")
_TRACEFS_PLACES = (TRACEFS, Path("/sys/kernel/debug/tracing"))


_READ_TYPED = (
    call("get_current_task_btf") + copy(1, 0) + call("task_pt_regs") + load_u64(1, 0, 0) + RETURN_0
)
"""Read a saved register through pointers whose type the verifier knows."""


def load_error(kind: str, instructions: bytes = RETURN_0, target: int = 0) -> OSError | None:
    """Try to load a program; return None when the kernel takes it, else its error.

    `target` is the BTF id of the function that one of ATTACH_TYPES is for.
    """
    try:
        os.close(load_program(kind, instructions, target))
    except OSError as error:
        return error
    return None


def typed_loads_error(kind: str, target: int = 0) -> OSError | None:
    """Say whether programs of `kind` can read kernel structures directly (Linux 5.15 on)."""
    return load_error(kind, _READ_TYPED, target)


def takes_functions() -> bool:
    """Say, in no time, whether programs at the kernel's functions may load, if they name one.

    Without a function, what is not refused before is invalid (check_attach_btf_id(),
    kernel/bpf/verifier.c).
    """
    error = load_error("fexit")
    is_invalid = error is not None and error.errno == errno.EINVAL
    return is_invalid and find_interruption() is None


@dataclass(frozen=True)
class Functions:
    """The BTF ids of those of the kernel's functions that programs can be attached to, by name.

    `obstacle` says what keeps them from all, or is None.
    """

    targets: Mapping[str, int]
    obstacle: str | None = None

    @property
    def refused_ways(self) -> tuple[str, ...]:
        """Return the ways of attaching that this rules out."""
        return ("fentry",) if self.obstacle else ()


_NO_FUNCTIONS = Functions({})


def find_functions(btf: Btf, names: Iterable[str]) -> Functions:
    """Return to which of the functions programs can be attached, found out by loading some."""
    known = btf.function_ids(sorted(names))
    tried = known or btf.function_ids([ANY_FUNCTION])
    errors = {name: typed_loads_error("fexit", target) for name, target in tried.items()}
    error = next(filter(None, errors.values()), None)
    if error and None not in errors.values():
        return Functions({}, f"the kernel refuses such a program: {error.strerror}")
    targets = {name: target for name, target in known.items() if errors[name] is None}
    obstacle = find_interruption() if tried else "the kernel's BTF tells of no functions"
    return Functions({} if obstacle else targets, obstacle)


ANY_FUNCTION = "vfs_open"
"""A function that every kernel has, to try programs on that attach to functions."""
_FTRACE = Path("/proc/sys/kernel/ftrace_enabled")
_DEBUGFS = Path("/sys/kernel/debug")
_DYNAMIC = "PREEMPT_DYNAMIC"
"""What uname(2) says of a kernel that is told at boot, or later, whether it interrupts itself."""


def find_interruption() -> str | None:
    """Say what keeps programs at functions from being run, or run to their end, or None.

    Unlike those at tracepoints, they may be interrupted for another task on their processor where
    the kernel may: __bpf_prog_enter_recur() of kernel/bpf/trampoline.c holds off migration alone.
    And each puts its record together in the same memory of the processor.
    """
    with contextlib.suppress(OSError):
        if _FTRACE.read_text().strip() == "0":
            return "the kernel calls no such program (sysctl kernel.ftrace_enabled is 0)"
    interrupts = "this kernel interrupts such programs for other tasks"
    built = [word for word in os.uname().version.split() if word.startswith("PREEMPT")]
    if built != [_DYNAMIC]:
        return f"{interrupts} ({', '.join(built)})" if built else None
    try:
        mode = (_DEBUGFS / "sched/preempt").read_text().strip()
    except OSError:
        return (
            "only debugfs tells whether this kernel interrupts such programs "
            f"(mount -t debugfs debugfs {_DEBUGFS})"
        )
    is_whole = "(none)" in mode or "(voluntary)" in mode
    return None if is_whole else f"{interrupts} (preempt: {mode})"


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


def choose_attachment(
    wanted: str, preferred: str, functions: Functions = _NO_FUNCTIONS
) -> Attachment:
    """Return the way that is `preferred`, or another that loads, or the one `wanted` if not auto.

    `functions` are those of the calls that are watched. ProblemsError, with exit code 3, says what
    is missing when none loads.
    """
    if wanted == "fentry" and functions.obstacle:
        what = f"attach: fentry cannot be used: {functions.obstacle}"
        raise host_lacks(what, "use attach: auto")
    if "fentry" in (wanted, preferred if wanted == "auto" else ""):
        return Attachment("fentry", typed_loads=True)
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
