"""`etracee validate`: say all that is wrong with profiles and their rules."""

from __future__ import annotations

import sys

import click

from etracee.plan import Request, make_plan
from etracee.problems import ProblemsError, printable, tell
from etracee.source_set import load_source_set


@click.command()
@click.argument("profiles", nargs=-1, required=True)
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
def command(profiles: tuple[str, ...], rules: tuple[str, ...]) -> None:
    """Check PROFILES and the rules they name. Exit code 2 if anything is wrong; needs no root."""
    failed = None
    for name in profiles:
        try:
            source = load_source_set(name, rules)
            plan = make_plan(source.profile, source.rules, Request(), source.catalog)
        except ProblemsError as error:
            tell(str(error))
            failed = error.code
            continue
        for warning in plan.warnings:
            tell(f"warning: {warning}")
        file = printable(source.profile.files[-1])
        print(f"{file}: {_describe(len(plan.events), len(plan.rules))}")
    if failed is not None:
        sys.exit(failed)


def _describe(events: int, rules: int) -> str:
    return f"fine, {events} event{'s' * (events != 1)}, {rules} rule{'s' * (rules != 1)}"
