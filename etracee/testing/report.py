"""Try rules on real commands, and print how each of them did."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence

from etracee.problems import CompilerFailedError, ExitCode, host_lacks, printable
from etracee.rules import Rule
from etracee.testing.live import PATIENCE, LiveRules, Trial, attach_rules


def report_live(names: tuple[str, ...], rules: Sequence[Rule]) -> int:
    """Try those of `rules` that have commands, attached with all others of the files `names`.

    Prints a line for each, and a tally; returns the exit code.
    """
    if os.geteuid() != 0:
        raise host_lacks("rules are attached to the kernel by root only", "use sudo")
    tried = [rule for rule in rules if rule.trigger or rule.near_miss]
    failed = 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, commands could not be waited for
    if tried:
        try:
            with attach_rules(names) as live:
                failed = sum(not _report(rule, live) for rule in tried)
        except CompilerFailedError as error:
            return error.code
    without = [rule.id.text for rule in rules if not rule.trigger]
    if without:
        print(f"without trigger: {', '.join(without)}")
    print(f"{len(tried)} rules tried, {len(tried) - failed} ok, {failed} failed")
    return ExitCode.WRONG_INPUT if failed else ExitCode.OK


def _report(rule: Rule, live: LiveRules) -> bool:
    """Print the line of a rule, and say whether all was well."""
    wrong = "; ".join(_try(rule, live))
    print(printable(f"{rule.id.text}: {wrong or 'ok'}"), flush=True)
    return not wrong


def _try(rule: Rule, live: LiveRules) -> Iterator[str]:
    """Run the rule's commands; yield what is wrong."""
    if rule.trigger:
        trial = live.try_command(rule.trigger)
        if not _alerts(rule, trial):
            yield f"did not fire{_circumstances(trial)}"
        elif trial.is_late:
            yield f"its trigger did not end within {PATIENCE:g} s"
    if rule.near_miss:
        trial = live.try_command(rule.near_miss)
        messages = _alerts(rule, trial)
        if messages:
            yield f"near miss fired: {messages[0]}"
        elif trial.is_late or trial.could_not_run or trial.lost:
            yield f"near miss proves nothing{_circumstances(trial)}"


def _alerts(rule: Rule, trial: Trial) -> list[str]:
    return [alert.message for alert in trial.alerts if alert.rule == rule.id.text]


def _circumstances(trial: Trial) -> str:
    """Return what may be the reason, in brackets."""
    found = []
    if trial.is_late:
        found.append(f"the command did not end within {PATIENCE:g} s")
    elif trial.code:
        said = f": {trial.said}" if trial.said else ""
        found.append(f"the command ended with {trial.code}{said}")
    if trial.lost:
        found.append(f"{trial.lost} events were lost")
    return f" ({'; '.join(found)})" if found else ""
