"""`etracee rules`: bring rules in from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etracee.catalog import load_catalog
from etracee.problems import ExitCode, Problem, host_lacks, tell, wrong

if TYPE_CHECKING:
    from etracee.sigma.files import Import


@click.group()
def command() -> None:
    """Bring rules in from elsewhere."""


@command.command("import-sigma")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here, not to stdout.")
@click.option(
    "--ignore-case", is_flag=True, help="Ignore the case of texts, as Sigma does; costs more."
)
def import_sigma(files: tuple[Path, ...], output: Path | None, ignore_case: bool) -> None:
    """Turn Sigma rules for Linux into a rule file.

    FILES are Sigma rules, or directories of them. What cannot be said here is not imported, and
    told on stderr with the reason. Exit code 2 if nothing could be imported; needs no root.
    """
    try:
        from etracee.sigma.files import import_files, rule_file  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "sigma":
            raise
        raise host_lacks(
            "pySigma is not installed",
            "`pip install 'etracee[sigma]'` installs it; it needs Python 3.11 or newer",
        ) from None
    result = import_files(files, load_catalog(), ignore_case=ignore_case)
    if result.rules:
        _write(rule_file(result, ignore_case=ignore_case), output)
    _report(result)
    sys.exit(ExitCode.OK if result.rules else ExitCode.WRONG_INPUT)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise wrong(None, f"cannot write {output}: {error.strerror}") from None


def _report(result: Import) -> None:
    """Tell what was not imported, one line each, and then the sums."""
    for refusal in result.refusals:
        title = f"{refusal.title}: " if refusal.title else ""
        tell(str(Problem(None, f"{refusal.file}: {title}not imported: {refusal.reason}")))
    refused = len(result.refusals)
    tell(f"{result.files} files, {result.imported} rules imported, {refused} not")
    for reason, count in result.reasons():
        tell(str(Problem(None, f"{count:6}  {reason}")))
