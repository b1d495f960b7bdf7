"""Compile with BCC, load and attach. Only this module imports bcc."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etracee.plan import Hook, Plan
from etracee.problems import ExitCode, Problem, ProblemsError, host_lacks
from etracee.resources import bundled
from etracee.runtime.handover import Loaded

PROGRAM, OFFSETS = "program.c", "offsets.h"
"""Names of the files that a program is compiled from, within its directory."""
DECODER = "decoder.py"


def import_bcc() -> Any:
    """Return the module bcc of the distribution; ProblemsError says how to get it.

    PyPI has a package of that name that is something else, so the class is looked at too.
    """
    try:
        import bcc

        bcc.BPF  # noqa: B018 - the other package has none
    except (ImportError, AttributeError) as error:
        raise host_lacks(
            f"BCC's Python bindings cannot be imported: {error}",
            "run ./setup.sh, or install python3-bpfcc (Debian, Ubuntu) or python3-bcc "
            "(openEuler, Fedora) and use the distribution's python3",
        ) from None
    return bcc


def load_and_attach(plan: Plan, directory: Path, notes: tuple[str, ...]) -> Loaded:
    """Compile the program in `directory`, load it and attach its hooks.

    ProblemsError with what clang or the verifier said when they refuse it.
    """
    headers = bundled("templates") / "bpf"
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    bcc = import_bcc()
    text = (directory / PROGRAM).read_text()
    flags = [f"-I{directory}", f"-I{headers / 'include'}", "-Wno-unused-function"]
    with _collect_stderr() as said:
        try:
            bpf = bcc.BPF(text=text, cflags=flags)
        except Exception as error:
            raise _refused("clang refuses the program", said(), str(error)) from None
    programs = [_load(bcc, bpf, hook) for hook in plan.hooks]
    attached = [_attach(*pair) for pair in zip(plan.hooks, programs, strict=True)]
    scope = "tracked" if plan.tree else "config"
    return Loaded(
        maps={name: bpf[name.encode()].map_fd for name in ("events", "counts", scope)},
        programs=tuple(programs),
        attached=tuple(attached),
        hooks=tuple(hook.function for hook in plan.hooks),
        profile=plan.profile,
        version=plan.version,
        files=(),
        notes=notes,
    )


def _load(bcc: Any, bpf: Any, hook: Hook) -> int:
    kinds = {"tracepoint": bcc.BPF.TRACEPOINT, "raw_tracepoint": bcc.BPF.RAW_TRACEPOINT}
    with _collect_stderr() as said:
        try:
            return int(bpf.load_func(hook.function.encode(), kinds[hook.kind]).fd)
        except Exception as error:
            what = f"the kernel's verifier refuses {hook.function}"
            raise _refused(what, said(), str(error)) from None


def _attach(hook: Hook, program: int) -> int:
    from bcc.libbcc import lib

    if hook.kind == "tracepoint":
        group, _, name = hook.name.partition(":")
        result = lib.bpf_attach_tracepoint(program, group.encode(), name.encode())
    else:
        result = lib.bpf_attach_raw_tracepoint(program, hook.name.encode())
    if result < 0:
        code = ctypes.get_errno()
        hint = "this kernel has no such tracepoint; `etracee doctor` says what it offers"
        raise host_lacks(f"cannot attach to {hook.name}: {os.strerror(code)}", hint)
    return int(result)


@contextlib.contextmanager
def _collect_stderr() -> Iterator[Any]:
    """Keep what BCC, clang and libbpf print on descriptor 2, and give it to whoever asks."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def said() -> str:
            file.seek(0)
            return file.read().decode("utf-8", "replace")

        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _refused(what: str, said: str, error: str) -> ProblemsError:
    lines = [line for line in said.splitlines() if line.strip()] or [error]
    told = [line for line in lines if "error:" in line][:10] or lines[-10:]
    problems = [
        Problem(None, what, "this is a fault of etracee's; please report it with this text")
    ]
    problems += (Problem(None, line) for line in told)
    return ProblemsError(problems, ExitCode.INTERNAL)
