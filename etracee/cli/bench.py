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

With --against, two profiles take turns within each round; with --compare, an earlier run of another
version stands beside this one. With --forecast nothing is delivered: a program that adds up what
the records would take runs on the live host, and a sample of them is read as the monitor reads.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click

from etracee.bench.compare import read_report, render_comparison
from etracee.bench.figures import Report
from etracee.bench.forecast import make_forecast
from etracee.bench.forecast_report import render_forecast, render_forecast_json
from etracee.bench.load import CommandLoad
from etracee.bench.measure import measure_command, measure_workloads
from etracee.bench.own import measure_own
from etracee.bench.program import choose_for_this_kernel
from etracee.bench.report import render_json, render_table
from etracee.bench.tracer import Order, TracerFailedError
from etracee.bench.watch import TICK, watch_host
from etracee.bench.workloads import choose_workloads
from etracee.cli._options import duration, profile_option
from etracee.kernel.btf import VMLINUX, open_btf
from etracee.plan import Plan, Request, make_plan
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
    "--against", metavar="PROFILE", help="Measure this profile too, in turns, and compare."
)
@click.option(
    "--compare",
    "earlier",
    metavar="FILE",
    help="Compare with what an earlier `bench --format json` wrote.",
)
@click.option(
    "--forecast",
    "watched_for",
    callback=duration,
    metavar="TIME",
    help="Instead, count on the live host for this time, such as 30s, and tell what to expect.",
)
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
    against: str | None,
    earlier: str | None,
    watched_for: float | None,
    form: str,
    command: tuple[str, ...],
) -> None:
    """Measure what a profile and rules cost: the same work without etracee and with it, in turns.

    Without COMMAND the work is a call that the profile does not watch, and loops that make the
    events it does watch. With COMMAND it is that command, its output dropped; it must do the same
    each time. Needs root. Exit code 3 if the host cannot run etracee.
    """
    if watched_for is not None:
        if watched_for < TICK:
            raise click.UsageError(f"--forecast needs {TICK} s at least")
        _check_alone({"COMMAND": command, "--against": against, "--compare": earlier})
        plan = _plan(profile, rules, Request(alerts_only=alerts_only, weighs=True))
        print(_forecast(plan, watched_for, form), end="")
        return
    other = read_report(earlier) if earlier else None
    names = [profile, against] if against else [profile]
    orders = [_order(name, rules, alerts_only=alerts_only) for name in names]
    try:
        reports = _measure(orders, rounds, command)
    except TracerFailedError as error:
        tell(error.said.rstrip("\n"))
        sys.exit(error.code)
    others = [(f"profile {each.profile}", "against", each) for each in reports[1:]]
    others += [(f"version {other.version}", "earlier", other)] if other else []
    print(_render(reports[0], others, form), end="")


def _check_alone(others: Mapping[str, object]) -> None:
    for name, value in others.items():
        if value:
            raise click.UsageError(f"--forecast watches the host; it does not go with {name}")


def _plan(profile: str, rules: tuple[str, ...], request: Request) -> Plan:
    with open_btf(VMLINUX) as kernel:
        source = load_source_set(profile, rules, kernel=kernel)
    return make_plan(source.profile, source.rules, request, source.catalog)


def _order(profile: str, rules: tuple[str, ...], *, alerts_only: bool) -> Order:
    plan = _plan(profile, rules, Request(alerts_only=alerts_only))
    return Order(profile, rules, tuple(event.name for event in plan.events), alerts_only)


def _render(report: Report, others: Sequence[tuple[str, str, Report]], form: str) -> str:
    """Return the report, and what it is compared with: title, key in JSON, report."""
    if form == "json":
        return render_json(report, {key: other for _, key, other in others})
    text = render_table(report)
    for title, key, other in others:
        own = f"profile {report.profile}" if key == "against" else f"version {report.version}"
        text += f"\n{render_table(other)}" if key == "against" else ""
        text += f"\n{render_comparison(report, other, (own, title))}"
    return text


def _forecast(plan: Plan, seconds: float, form: str) -> str:
    plan = choose_for_this_kernel(plan)
    watched = watch_host(plan, seconds)
    forecast = make_forecast(plan, watched, measure_own(plan, watched.sample))
    return render_forecast_json(forecast) if form == "json" else render_forecast(forecast)


def _measure(orders: Sequence[Order], rounds: int, words: tuple[str, ...]) -> list[Report]:
    if words:
        load = CommandLoad(words)
        reports = measure_command(orders, load, rounds)
        if load.codes != {0}:
            codes = ", ".join(map(str, sorted(load.codes)))
            tell(f"etracee: {words[0]} ended with {codes}")
        return reports
    watched = tuple(dict.fromkeys(event for order in orders for event in order.watched))
    workloads = choose_workloads(watched)
    made = {event for workload in workloads for event in workload.makes}
    if missing := [event for event in watched if event not in made]:
        names = ", ".join(missing)
        tell(f"etracee: no built-in workload makes {names}; name a COMMAND")
    return measure_workloads(orders, workloads, rounds)
