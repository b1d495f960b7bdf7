"""The command line: one module for each command, imported when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import sys

import click

from etracee import __version__
from etracee.problems import ExitCode, ProblemsError, tell

_HELP = {"help_option_names": ["-h", "--help"]}


class _Commands(click.Group):
    """Finds the commands by their modules, so that each costs only its own imports."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        names = (info.name for info in pkgutil.iter_modules(__path__))
        return sorted(name.removesuffix("_") for name in names if not name.startswith("_"))

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(_ctx):
            return None
        known = {info.name for info in pkgutil.iter_modules(__path__)}
        module = importlib.import_module(f"{__name__}.{name if name in known else name + '_'}")
        found = module.command
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Commands, context_settings=_HELP)
@click.version_option(__version__, prog_name="etracee")
def _group() -> None:
    """Compile YAML monitoring profiles into eBPF, and report what processes do."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process with one of the codes of ExitCode."""
    _open_standard_files()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        code = ExitCode.OK if error.errno == errno.EPIPE else ExitCode.INTERNAL
        if code:
            tell(f"cannot write to stdout: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered goes nowhere
    sys.exit(code)


_UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)
"""Errors of writing to stdout, which are the user's to know of and not a fault of ours."""


def _run(arguments: list[str] | None) -> int:
    try:
        _group.main(arguments, prog_name="etracee", standalone_mode=True)
    except ProblemsError as error:
        tell(str(error))
        return error.code
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else ExitCode.OK
    return ExitCode.OK


def _open_standard_files() -> None:
    """Give the three standard descriptors a file where they are closed.

    Otherwise the next file that is opened would get their numbers, and be written to as stdout.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
