"""What this host offers to etracee, and what to do about what it lacks."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etracee.kernel.bpf import PROG_TYPES
from etracee.kernel.btf import VMLINUX, Btf
from etracee.kernel.probe import (
    ANY_FUNCTION,
    TRACEFS,
    find_functions,
    find_tracefs,
    load_error,
    typed_loads_error,
)


@dataclass(frozen=True)
class Check:
    """One line of the doctor: what was looked at, what was found, and what to do, if anything.

    `needed` says that `etracee run` would not work without it.
    """

    name: str
    ok: bool
    found: str
    advice: str | None = None
    needed: bool = False


def check_host() -> Iterator[Check]:
    """Yield all checks that need nothing but the kernel."""
    for check in _CHECKS:
        yield from check()


def _kernel() -> Iterator[Check]:
    yield Check("kernel", ok=True, found=f"{platform.release()} {platform.machine()}")


def _btf() -> Iterator[Check]:
    advice = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"
    yield Check(
        "BTF",
        VMLINUX.is_file(),
        str(VMLINUX) if VMLINUX.is_file() else "missing",
        advice,
        needed=True,
    )


def _privileges() -> Iterator[Check]:
    effective = _effective_capabilities()
    missing = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    enough = not missing or bool(effective >> _SYS_ADMIN & 1)
    found = f"user id {os.geteuid()}, " + (
        "all that is needed" if enough else f"without {', '.join(missing)}"
    )
    yield Check("privileges", enough, found, "run as root (sudo)", needed=True)


_CAPABILITIES = {"CAP_PERFMON": 38, "CAP_BPF": 39}
"""Bits of capabilities(7) that loading and attaching need since Linux 5.8."""
_SYS_ADMIN = 21


def _effective_capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapEff:")).split()[1], 16)


def _tracefs() -> Iterator[Check]:
    place = find_tracefs()
    advice = (
        f"mount -t tracefs tracefs {TRACEFS}; raw tracepoints are used meanwhile, "
        "which slow down every call"
    )
    yield Check("tracefs", place is not None, str(place or "not mounted"), advice)


def _lockdown() -> Iterator[Check]:
    file = Path("/sys/kernel/security/lockdown")
    if not file.is_file():
        return
    text = file.read_text()
    mode = text[text.find("[") + 1 : text.find("]")]
    advice = "in this mode programs cannot read memory: boot without lockdown=confidentiality"
    yield Check("lockdown", mode != "confidentiality", mode, advice, needed=True)


def _program_types() -> Iterator[Check]:
    for kind in PROG_TYPES:
        error = load_error(kind, target=_target(kind))
        used = kind in ("tracepoint", "raw_tracepoint")
        yield Check(
            f"{kind} programs",
            error is None,
            f"refused: {error.strerror}" if error else "load",
            "see privileges and lockdown above" if used else "etracee does without them",
            needed=kind == "raw_tracepoint",
        )


_TARGETS = {"fentry": ANY_FUNCTION, "fexit": ANY_FUNCTION, "lsm": "bpf_lsm_file_open"}
"""Functions that every kernel has, to try programs on, by the kind that attaches to them."""


def _target(kind: str) -> int:
    if kind not in _TARGETS or not VMLINUX.is_file():
        return 0
    with Btf() as btf:
        return btf.function_id(_TARGETS[kind]) or 0


def _functions() -> Iterator[Check]:
    """Say whether calls can be met at their functions, which costs other calls nothing."""
    if not VMLINUX.is_file():
        return
    with Btf() as btf:
        obstacle = find_functions(btf, [ANY_FUNCTION]).obstacle
    advice = "tracepoints are used instead, which slow down every call a little"
    yield Check("attach: fentry", obstacle is None, obstacle or "can be used", advice)


def _typed_loads() -> Iterator[Check]:
    error = typed_loads_error("tracepoint")
    advice = "Linux 5.15 or later reads them directly; raw tracepoints and helpers are used instead"
    found = f"refused: {error.strerror}" if error else "work"
    yield Check("direct reads", error is None, found, advice)


_X32_GETPID = 0x40000000 | 39
"""getpid(2) by its x32 number: arch/x86/include/uapi/asm/unistd.h."""


def _x32() -> Iterator[Check]:
    """Tell of calls that neither kind of tracepoint reports: their numbers are beyond the table."""
    if platform.machine() != "x86_64":
        return
    is_taken = ctypes.CDLL(None).syscall(_X32_GETPID) >= 0
    found = "taken, and not seen" if is_taken else "refused"
    yield Check("x32 calls", not is_taken, found, "boot without syscall.x32=y")


def _sysctls() -> Iterator[Check]:
    jit = _sysctl("net/core/bpf_jit_enable")
    advice = "sysctl net.core.bpf_jit_enable=1: interpreted programs are many times slower"
    yield Check("bpf_jit_enable", jit != "0", jit or "built in", advice)
    stats = _sysctl("kernel/bpf_stats_enabled")
    advice = "sysctl kernel.bpf_stats_enabled=0: measuring costs some 20 ns a program"
    yield Check("bpf_stats_enabled", stats in ("0", None), stats or "absent", advice)
    rate = _sysctl("kernel/ftrace_enabled")
    advice = "sysctl kernel.ftrace_enabled=1: without it fentry programs are not called"
    yield Check("ftrace_enabled", rate != "0", rate or "absent", advice)


def _sysctl(name: str) -> str | None:
    try:
        return (Path("/proc/sys") / name).read_text().strip()
    except OSError:
        return None


_CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _kernel,
    _privileges,
    _btf,
    _tracefs,
    _lockdown,
    _program_types,
    _functions,
    _typed_loads,
    _x32,
    _sysctls,
)
