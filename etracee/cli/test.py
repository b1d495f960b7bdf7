"""`etracee test`: run the tests that stand in rule files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from etracee.catalog import load_catalog
from etracee.problems import ExitCode, did_you_mean, tell, wrong
from etracee.profile.written import Located
from etracee.resources import find_file, names_of
from etracee.rules import Rule, RuleSet, load_rules
from etracee.testing.compiled import Compiled
from etracee.testing.play import play_scenario, play_test
from etracee.testing.report import report_live


@click.command()
@click.argument("rules", nargs=-1)
@click.option("--rule", "ids", multiple=True, metavar="ID", help="Only the rule of this id.")
@click.option(
    "--live",
    is_flag=True,
    help="Run the rules' `trigger:` and `near_miss:` commands instead, on this host; needs root.",
)
def command(rules: tuple[str, ...], ids: tuple[str, ...], live: bool) -> None:
    """Run the tests and scenarios in rule files RULES, or in all that are installed.

    Needs no root, but with --live. Tests of files that RULES extend are not run. Exit code 2 when
    a test fails or a file is wrong.
    """
    names = rules or tuple(names_of("rules"))
    loaded = load_rules(map(Located, names))
    files = {find_file("rules", name).resolve() for name in names}
    own = [rule for rule in loaded.rules if _is_of(rule.id, files)]
    asked = _choose(own, ids)
    if live:
        sys.exit(report_live(names, asked))
    sys.exit(_test(loaded, asked, files, with_scenarios=not ids))


def _test(loaded: RuleSet, rules: list[Rule], files: set[Path], *, with_scenarios: bool) -> int:
    compiled = Compiled(loaded, load_catalog())
    outcomes = [play_test(compiled, rule, test) for rule in rules for test in rule.tests]
    if with_scenarios:
        scenarios = (s for s in loaded.scenarios if _is_of(s.where, files))
        outcomes += (play_scenario(compiled, scenario) for scenario in scenarios)
    failures = [outcome for outcome in outcomes if outcome]
    for failure in failures:
        tell(str(failure))
    untested = [rule.id.text for rule in rules if not rule.tests]
    if untested:
        print(f"without tests: {', '.join(untested)}")
    passed = len(outcomes) - len(failures)
    print(f"{len(rules)} rules, {passed} tests passed, {len(failures)} failed")
    return ExitCode.WRONG_INPUT if failures else ExitCode.OK


def _is_of(written: Located, files: set[Path]) -> bool:
    """Say whether it stands in one of the files, and not in one that they extend."""
    return written.document is not None and Path(written.document.file).resolve() in files


def _choose(rules: list[Rule], ids: tuple[str, ...]) -> list[Rule]:
    known = {rule.id.text: rule for rule in rules}
    for name in ids:
        if name not in known:
            raise wrong(
                None, f"--rule: no rule {name!r} is in these files", did_you_mean(name, known)
            )
    return [known[name] for name in dict.fromkeys(ids)] if ids else rules
