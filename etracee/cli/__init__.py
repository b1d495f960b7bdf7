"""The command line: one module for each command, imported when it is called."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from typing import Any

import click

from etracee import __version__
from etracee.problems import ExitCode, ProblemsError

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


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; ends the process with one of the codes of ExitCode."""
    try:
        _group.main(arguments, prog_name="etracee", standalone_mode=True)
    except ProblemsError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
