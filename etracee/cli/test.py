"""`etracee test`: run the tests that stand in rule files."""

from __future__ import annotations

import sys

import click

from etracee.catalog import load_catalog
from etracee.plan.resolve import resolve_rules
from etracee.problems import ExitCode, tell
from etracee.profile.model import Located
from etracee.resources import names_of
from etracee.rules import load_rules
from etracee.rules.testing import run_tests


@click.command()
@click.argument("rules", nargs=-1)
def command(rules: tuple[str, ...]) -> None:
    """Run the tests in rule files RULES, or in all that are installed. Needs no root.

    Exit code 2 when a test fails or a file is wrong.
    """
    loaded = load_rules(Located(name) for name in rules or names_of("rules"))
    catalog = load_catalog()
    plans = resolve_rules(loaded, catalog)
    outcomes = list(run_tests(loaded, {plan.id: plan.conditions for plan in plans}, catalog))
    failures = [outcome.problem for outcome in outcomes if outcome.problem]
    for failure in failures:
        tell(str(failure))
    untested = [rule.id.text for rule in loaded if not rule.tests]
    if untested:
        print(f"without tests: {', '.join(untested)}")
    passed = len(outcomes) - len(failures)
    print(f"{len(loaded)} rules, {passed} tests passed, {len(failures)} failed")
    sys.exit(ExitCode.WRONG_INPUT if failures else ExitCode.OK)
