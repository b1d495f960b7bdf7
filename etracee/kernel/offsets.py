"""The offsets header: where members lie in the structures of one kernel."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import c_comment, c_ident, c_int
from etracee.kernel.btf import Btf
from etracee.problems import ExitCode, Problem, ProblemsError

NOWHERE = -1
"""The offset of what a kernel has not and a program can do without."""


def render_offsets(btf: Btf, offsets: Mapping[str, str]) -> str:
    """Return C that defines each macro as the offset in bytes of its `struct.member…`.

    Of alternatives, `a.b|c.d`, it is that of the first that this kernel has; NOWHERE where it has
    none and an empty one, `a.b|`, says that the program can do without. ProblemsError, with exit
    code 3, names every other member that this kernel has not.
    """
    found = {name: _find(btf, path) for name, path in offsets.items()}
    missing = [path for name, path in offsets.items() if found[name] is None]
    if missing:
        raise ProblemsError((_lacking(path) for path in missing), ExitCode.HOST)
    lines = [
        f"#define {c_ident(name)} {c_int(value or 0)} /* {c_comment(offsets[name])} */"
        for name, value in found.items()
    ]
    return "\n".join(["/* Offsets in bytes, read from the BTF of one kernel. */", *lines, ""])


def lacking_options(btf: Btf, offsets: Mapping[str, str]) -> list[str]:
    """Return, as notes for people, what this kernel has not and the program does without."""
    return [
        f"note: this kernel has no {path.rstrip('|')}: what is read from it is null"
        for path in offsets.values()
        if _find(btf, path) == NOWHERE
    ]


def _find(btf: Btf, path: str) -> int | None:
    for alternative in path.split("|"):
        found = btf.offset_of(alternative) if alternative else NOWHERE
        if found is not None:
            return found
    return None


def _lacking(path: str) -> Problem:
    message = f"this kernel's BTF has no {path.replace('|', ' or ')}"
    return Problem(
        None, message, "leave the fields out that need it, or report the kernel's version"
    )


def architecture_of(btf: Btf) -> str | None:
    """Return the architecture that a kernel was built for, as uname(2) names it, or None."""
    members = {"x86_64": "pt_regs.orig_ax", "aarch64": "pt_regs.orig_x0"}
    return next((arch for arch, path in members.items() if btf.offset_of(path) is not None), None)
