"""What `etracee run` does with its program: deliver events until the end, and say what was done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from etracee.cli._summary import describe
from etracee.clock import Clock
from etracee.command import Command
from etracee.generations import Generations
from etracee.monitor import Limits, Monitor
from etracee.problems import CompilerFailedError, ExitCode, tell, wrong
from etracee.runtime.loaded import Loaded
from etracee.runtime.order import Order
from etracee.runtime.start import Start
from etracee.sinks import Sink, open_sinks
from etracee.sinks.json import JsonSink
from etracee.summary import Summary


@dataclass(frozen=True)
class Wishes:
    """Where events go, when to end, and what the exit code tells; the options of these names."""

    output: str | None
    form: str | None
    targets: Sequence[str]
    duration: float | None
    count: int | None
    every: float | None
    max_loss: int | None
    fail_on_alert: str | None


def run(start: Start, order: Order, wishes: Wishes, command: Sequence[str]) -> int:
    """Run until the end, and return the exit code."""
    sink = _sink(wishes.output, wishes.form, is_shared=bool(command))
    sinks = [*open_sinks(wishes.targets), sink]
    try:
        loaded, module = start.finish()
    except CompilerFailedError as error:
        return error.code
    finally:
        start.close()
    clock = Clock()
    as_lines = all(each.takes_lines for each in sinks)
    generations = Generations(loaded, module, clock, as_lines=as_lines)
    if wishes.every is not None and not generations.current.decoder.counted:
        tell("etracee: note: --every: the profile counts nothing")
    process = Command(command, stdout=None if wishes.output else 2) if command else None
    limits = Limits(wishes.duration, wishes.count, wishes.every)
    monitor = Monitor(generations, order, clock, sinks, limits, process)
    summary = monitor.run(lambda: _announce(loaded))
    tell(describe(summary, process).rstrip("\n"))
    if monitor.failure:
        tell(f"etracee: {monitor.failure}")
        return ExitCode.INTERNAL
    finished = None if monitor.interrupted else process
    return _exit_code(summary, finished, wishes)


def _announce(loaded: Loaded) -> None:
    for note in (f"profile {loaded.profile}: {', '.join(loaded.files)}", *loaded.notes):
        tell(f"etracee: {note}")


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
    from etracee.sinks.live import TerminalSink
    from etracee.sinks.text import TextSink

    is_live = os.isatty(descriptor) and not is_shared and os.environ.get("TERM", "dumb") != "dumb"
    return TerminalSink(descriptor) if is_live else TextSink(descriptor)


def _exit_code(summary: Summary, process: Command | None, wishes: Wishes) -> int:
    if wishes.max_loss is not None and summary.lost > wishes.max_loss:
        return ExitCode.LOSS
    if wishes.fail_on_alert in summary.levels:
        return ExitCode.ALERT
    return process.exit_code if process else ExitCode.OK
