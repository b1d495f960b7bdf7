"""The summary at the end of a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from etracee.command import Command
from etracee.sinks.queue import describe as describe_drops
from etracee.summary import Summary
from etracee.units import LARGEST_RING, show_size


def describe(summary: Summary, process: Command | None) -> str:
    """Return the summary: a table of events, then what is worth a line."""
    lines = list(_table(summary))
    lines += (f"alerts of {rule}: {count}" for rule, count in summary.alerts.items())
    lines += (f"held back by at_most, {r}: {count}" for r, count in _some(summary.suppressed))
    lines += (f"windows given up, too many, {r}: {count}" for r, count in _some(summary.evicted))
    lines += (
        f"left open by cut values, {who}: {count}" for who, count in summary.open_answers.items()
    )
    lines += (
        f"filtered by the kernel although a text was cut, {name}: {count}"
        for name, count in _some(summary.cut_and_filtered)
    )
    lines += (
        f"not counted, since there were more keys than options.count_keys, {name}: {count}"
        for name, count in _some(summary.unfitted)
    )
    lines += (f"{_UNPAIRED}, {name}: {count}" for name, count in _some(summary.unpaired))
    if summary.left_over:
        lines.append(f"not delivered, since --count was reached: {summary.left_over}")
    if summary.forgotten:
        lines.append(f"ended processes forgotten early, since they were many: {summary.forgotten}")
    if summary.unfinished:
        lines.append(f"not told of, since it had not ended, io_uring: {summary.unfinished}")
    lines += _describe_abi(summary)
    lines += (
        f"lost, since the kernel was in another program or in bpf(2), {name}: {count}"
        for name, count in _some(summary.misses)
    )
    lines += _describe_ring(summary.ring_wanted)
    if summary.strays:
        lines.append(f"not read, since they came too late after a reload: {summary.strays}")
    lines += (f"dropped by {sink}: {describe_drops(drops)}" for sink, drops in summary.dropped)
    if process:
        lines.append(_describe_command(process))
    return "".join(f"{line}\n" for line in lines)


def _describe_ring(wanted: int) -> Iterator[str]:
    if wanted > LARGEST_RING:
        yield "no ring_buffer would have held what was lost: fewer events must be watched"
    elif wanted:
        yield f"what was lost would have fitted into options.ring_buffer: {show_size(wanted)}"


def _describe_abi(summary: Summary) -> Iterator[str]:
    counts = {
        "32-bit programs started, whose calls are not decoded": summary.abi_programs,
        "programs started by 32-bit calls, which are not decoded": summary.abi_execs,
    }
    for what, count in counts.items():
        if count:
            yield f"{what}: {count} (options.compat: decode would)"


_UNPAIRED = "without what the entry tells, since it was not seen or there was no room to keep it"
MOST_UNSEEN = 20
"""Events that were not seen are rows of the table too, unless there are more of them."""


def _table(summary: Summary) -> Iterator[str]:
    """Yield the rows of events, and how many are left out since none was seen."""
    counted = ("counted",) if summary.counted else ()
    heading = ("event", "seen", "filtered", "sent", "lost", "cut", *counted)
    unseen = [name for name in summary.delivered if not summary.counts[name].seen]
    rows: list[tuple[object, ...]] = [heading]
    for name, counts in summary.counts.items():
        if not counts.seen and (name not in summary.delivered or len(unseen) > MOST_UNSEEN):
            continue
        rejected = summary.rejected.get(name, 0)
        filtered, sent = counts.filtered + rejected, counts.sent - rejected
        lost = counts.lost + summary.unfitted.get(name, 0)
        own = (summary.counted.get(name, "-"),) if counted else ()
        rows.append((name, counts.seen, filtered, sent, lost, summary.cut.get(name, 0), *own))
    width = max(16, *(len(str(row[0])) for row in rows))
    for row in rows:
        yield str(row[0]).ljust(width) + "".join(f"{cell!s:>11}" for cell in row[1:])
    if len(unseen) > MOST_UNSEEN:
        yield f"{len(unseen)} more events, of which none was seen"


def _some(counts: Counter[str]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in counts.items() if count]


def _describe_command(process: Command) -> str:
    if process.failure:
        return f"{process.words[0]}: {process.failure}"
    if process.status is None:
        return f"{process.words[0]}: not ended yet"
    code = os.waitstatus_to_exitcode(process.status)
    ended = f"ended with {code}" if code >= 0 else f"ended by signal {-code}"
    return f"{process.words[0]}: {ended}"
