"""`etracee run`: compile a profile, attach it, deliver its events."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import click

from etracee.cli._options import Selection, duration, profile_option, selection_options
from etracee.cli._summary import describe
from etracee.clock import Clock
from etracee.command import Command
from etracee.event import LEVELS
from etracee.generations import Generations
from etracee.monitor import Limits, Monitor
from etracee.problems import ExitCode, tell, wrong
from etracee.runtime.compiler import Compiler, CompilerFailedError, Order
from etracee.sinks import Sink, open_sinks
from etracee.sinks.json import JsonSink
from etracee.sinks.live import TerminalSink
from etracee.sinks.text import TextSink
from etracee.summary import Summary


@click.command()
@profile_option
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
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def command(
    profile: str,
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
    command: tuple[str, ...],
) -> None:
    """Run a profile, on the whole host or on COMMAND and its descendants.

    Exit codes: 0 fine, 1 internal failure, 2 wrong input, 3 the host cannot do it, 4 more than
    --max-loss events lost, 5 an alert of --fail-on-alert. With COMMAND: 126 or 127 if it cannot be
    run or found, else its own status, or 128 and its signal.
    """
    if not command and sys.argv[-1:] == ["--"]:
        raise click.UsageError("there is no COMMAND behind --")
    _end_quietly_on_signals()
    sinks = [*open_sinks(targets), _sink(output, form, is_shared=bool(command))]
    order = Order(
        profile,
        rules,
        selection.filters,
        selection.events,
        bool(command),
        selection.alerts_only,
        selection.allow_actions,
    )
    try:
        with contextlib.closing(Compiler(order)) as compiler:
            compiler.start()
            loaded, module = compiler.finish()
    except CompilerFailedError as error:
        sys.exit(error.code)
    for note in (f"profile {loaded.profile}: {', '.join(loaded.files)}", *loaded.notes):
        tell(f"etracee: {note}")
    clock = Clock()
    as_lines = all(sink.takes_lines for sink in sinks)
    generations = Generations(loaded, module, clock, as_lines=as_lines)
    if every is not None and not generations.current.decoder.counted:
        tell("etracee: note: --every: the profile counts nothing")
    process = Command(command, stdout=None if output else 2) if command else None
    monitor = Monitor(generations, order, clock, sinks, Limits(duration, count, every), process)
    summary = monitor.run()
    tell(describe(summary, process).rstrip("\n"))
    if monitor.failure:
        tell(f"etracee: {monitor.failure}")
        sys.exit(ExitCode.INTERNAL)
    finished = None if monitor.interrupted else process
    sys.exit(_exit_code(summary, finished, max_loss, fail_on_alert))


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


def _sink(output: str | None, form: str | None, *, is_shared: bool) -> Sink:
    """Return what writes to `output`, or to stdout; a terminal is redrawn unless it is shared."""
    descriptor = 1
    if output is not None:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(output, flags, 0o640)
        except OSError as error:
            raise wrong(None, f"cannot write {output}: {error.strerror}") from None
    chosen = form or ("text" if output is None and os.isatty(1) else "json")
    if chosen == "json":
        return JsonSink(descriptor)
    is_live = os.isatty(descriptor) and not is_shared and os.environ.get("TERM", "dumb") != "dumb"
    return TerminalSink(descriptor) if is_live else TextSink(descriptor)


def _exit_code(
    summary: Summary,
    process: Command | None,
    max_loss: int | None,
    fail_on_alert: str | None,
) -> int:
    if max_loss is not None and summary.lost > max_loss:
        return ExitCode.LOSS
    if fail_on_alert in summary.levels:
        return ExitCode.ALERT
    return process.exit_code if process else ExitCode.OK
