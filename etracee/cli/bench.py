"""`etracee bench`: what a profile costs this host.

The same work is done in turns, without etracee and with it, as often as --rounds says: none,
etracee, none, etracee, … Each figure of what etracee adds is the difference within one round, so
that a host that slows down or speeds up between rounds does not enter it; shown are the median
of the rounds and their extremes.

In a round with etracee, `etracee run` watches the whole host and writes its events as JSON to a
file. The work begins when the program in the kernel has been enabled, which the monitor does when
every hook is attached. What etracee sees, delivers, loses and uses of its processor is counted
from right before the work until the last of its events is written: start-up and end do not count.
A tracer that loses events looks cheap, so the loss stands beside the time.
"""

from __future__ import annotations

import sys

import click

from etracee.bench.figures import Report
from etracee.bench.load import CommandLoad
from etracee.bench.measure import measure_command, measure_workloads
from etracee.bench.report import render_json, render_table
from etracee.bench.tracer import Order, TracerFailedError
from etracee.bench.workloads import choose_workloads
from etracee.cli._options import profile_option
from etracee.plan import Request, make_plan
from etracee.problems import tell
from etracee.source_set import load_source_set


@click.command()
@profile_option
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
@click.option(
    "--alerts-only", is_flag=True, help="Deliver alerts alone, as `etracee run` then does."
)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, metavar="N")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json has all figures, with units in the names of its keys.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def command(
    profile: str,
    rules: tuple[str, ...],
    alerts_only: bool,
    rounds: int,
    form: str,
    command: tuple[str, ...],
) -> None:
    """Measure what a profile and rules cost: the same work without etracee and with it, in turns.

    Without COMMAND the work is a call that the profile does not watch, and loops that make the
    events it does watch. With COMMAND it is that command, its output dropped; it must do the same
    each time. Needs root. Exit code 3 if the host cannot run etracee.
    """
    source = load_source_set(profile, rules)
    request = Request(alerts_only=alerts_only)
    plan = make_plan(source.profile, source.rules, request, source.catalog)
    order = Order(profile, rules, tuple(event.name for event in plan.events), alerts_only)
    try:
        report = _measure(order, rounds, command)
    except TracerFailedError as error:
        tell(error.said.rstrip("\n"))
        sys.exit(error.code)
    print(render_json(report) if form == "json" else render_table(report), end="")


def _measure(order: Order, rounds: int, words: tuple[str, ...]) -> Report:
    if words:
        load = CommandLoad(words)
        report = measure_command(order, load, rounds)
        if load.codes != {0}:
            codes = ", ".join(map(str, sorted(load.codes)))
            tell(f"etracee: {words[0]} ended with {codes}")
        return report
    workloads = choose_workloads(order.watched)
    made = {event for workload in workloads for event in workload.makes}
    if missing := [event for event in order.watched if event not in made]:
        names = ", ".join(missing)
        tell(f"etracee: no built-in workload makes {names}; name a COMMAND")
    return measure_workloads(order, workloads, rounds)
