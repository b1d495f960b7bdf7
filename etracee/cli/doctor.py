"""`etracee doctor`: what this host can do, and what to do about what it cannot."""

from __future__ import annotations

import sys

import click

from etracee.kernel.host import Check, check_host
from etracee.problems import ExitCode, ProblemsError, tell
from etracee.runtime.load import import_bcc


@click.command()
def command() -> None:
    """Check what `etracee run` needs. Exit code 3 when it would not work here."""
    checks = [*check_host(), _bcc()]
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(_line(check, width))
    missing = [check.name for check in checks if check.needed and not check.ok]
    if missing:
        tell(f"etracee run would not work here: {', '.join(missing)}")
        sys.exit(ExitCode.HOST)


def _bcc() -> Check:
    try:
        bcc = import_bcc()
    except ProblemsError as error:
        problem = error.problems[0]
        return Check("BCC", ok=False, found=problem.message, advice=problem.hint, needed=True)
    version = getattr(bcc, "__version__", "of unknown version")
    return Check("BCC", ok=True, found=str(version), needed=True)


def _line(check: Check, width: int) -> str:
    mark = "ok     " if check.ok else "MISSING" if check.needed else "note   "
    advice = f" -> {check.advice}" if check.advice and not check.ok else ""
    return f"{mark} {check.name.ljust(width)}  {check.found}{advice}"
