"""`etracee run`: compile a profile, attach it, deliver its events."""

from __future__ import annotations

import contextlib
import signal
import sys

import click

from etracee.cli._options import Selection, duration, selection_options
from etracee.event import LEVELS
from etracee.problems import ExitCode
from etracee.runtime.order import Order
from etracee.runtime.start import Start


@click.command()
@click.option("-p", "--profile", help="Profile: a bundled name or a path.")
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
@click.option("-o", "--output", metavar="FILE", help="File for the events, instead of stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "text"]),
    help="Default: text on a terminal, else json.",
)
@click.option(
    "--sink",
    "targets",
    multiple=True,
    metavar="KIND:TARGET",
    help="Deliver there too, such as json:FILE or webhook:URL; `etracee list sinks` shows the "
    "kinds. all@ before it means events and alerts, alerts@ alerts only; losses always go along.",
)
@selection_options
@click.option(
    "--duration", callback=duration, help="End after this time, such as 10s, COMMAND too."
)
@click.option(
    "--count",
    type=click.IntRange(1),
    help="End after this many events, alerts and lines of counts, COMMAND too.",
)
@click.option(
    "--every",
    callback=duration,
    metavar="TIME",
    help="Time between counts, where the profile says `mode: count`; instead of its own.",
)
@click.option(
    "--max-loss",
    type=click.IntRange(0),
    metavar="N",
    help="Exit code 4 if more events than N were lost.",
)
@click.option(
    "--fail-on-alert",
    type=click.Choice(LEVELS),
    metavar="LEVEL",
    help="Exit code 5 if a rule of this level or above fired.",
)
@click.option("--no-cache", is_flag=True, help="Compile anew, and do not keep what was compiled.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[FILE] [-- COMMAND...]")
def command(
    profile: str | None,
    rules: tuple[str, ...],
    output: str | None,
    form: str | None,
    targets: tuple[str, ...],
    selection: Selection,
    duration: float | None,
    count: int | None,
    every: float | None,
    max_loss: int | None,
    fail_on_alert: str | None,
    no_cache: bool,
    words: tuple[str, ...],
) -> None:
    """Run a profile, on the whole host or on COMMAND and its descendants.

    Without --profile, FILE is one that `etracee build` has written.

    Exit codes: 0 fine, 1 internal failure, 2 wrong input, 3 the host cannot do it, 4 more than
    --max-loss events lost, 5 an alert of --fail-on-alert. With COMMAND: 126 or 127 if it cannot be
    run or found, else its own status, or 128 and its signal.
    """
    command = words if profile is not None else words[1:]
    if profile is None and not words:
        raise click.UsageError("name a profile with -p, or a file that etracee build has written")
    if not command and sys.argv[-1:] == ["--"]:
        raise click.UsageError("there is no COMMAND behind --")
    _end_quietly_on_signals()
    order = Order(
        profile or words[0],
        rules,
        selection.filters,
        selection.events,
        tree=bool(command),
        alerts_only=selection.alerts_only,
        allow_actions=selection.allow_actions,
        is_built=profile is None,
        use_cache=not no_cache,
    )
    with contextlib.closing(Start(order)) as start:
        # What the monitor needs is imported while the program is compiled or loaded.
        from etracee.cli._running import Wishes, run

        wishes = Wishes(output, form, targets, duration, count, every, max_loss, fail_on_alert)
        sys.exit(run(start, order, wishes, command))


def _end_quietly_on_signals() -> None:
    """Until the monitor runs there is nothing to drain: SIGINT and SIGTERM end with 0.

    SIGHUP, which asks for a reload, has to wait until then.
    """

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(ExitCode.OK)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children could not be waited for
