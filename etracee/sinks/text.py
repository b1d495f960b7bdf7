"""Text for people: a line for each item, in the manner of strace."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from etracee.event import Alert, Count, Event, Item, Loss
from etracee.problems import printable
from etracee.sinks.base import DescriptorSink, SinkKind
from etracee.sinks.file import FileOutlet, opener
from etracee.sinks.table import flat_key, spread_of, tables, truncated_of
from etracee.sinks.words import result_of, value_of, word_of

_HEAD = {
    "timestamp",
    "human_time",
    "type",
    "syscall_id",
    "pid",
    "tid",
    "comm",
    "ret",
    "truncated",
    "raw",
}


class TextSink(DescriptorSink):
    """Writes each item as a line: time, process, call, arguments, result."""

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines, and counts as tables; control characters are escaped."""
        lines: list[str] = []
        for _, group in itertools.groupby(items, lambda item: isinstance(item, Count)):
            found = list(group)
            counts = [item for item in found if isinstance(item, Count)]
            lines += tables(counts) if counts else map(line_of, found)
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


class TextFile(FileOutlet):
    """Appends each item as a line, with the day, since files outlast it."""

    def encode(self, items: Sequence[Item]) -> bytes:
        lines = (f"{_day_and_time(item)} {describe(item)}\n" for item in items)
        return "".join(lines).encode("utf-8", "replace")


SINK = SinkKind(
    name="text",
    target="FILE",
    doc="Lines for people, appended to FILE; SIGHUP opens it anew.",
    takes_events=True,
    open=opener(TextFile),
)


def describe(item: Item) -> str:
    """Return what a line says of `item` besides the time; control characters are escaped."""
    if isinstance(item, Alert):
        return f"ALERT {item.level} {item.rule}: {printable(item.message)}"
    if isinstance(item, Loss):
        blind = f", unseen by {', '.join(item.blind_rules)}" if item.blind_rules else ""
        return f"LOST {item.count} {item.event} events{blind}"
    if isinstance(item, Count):
        return _count(item)
    assert isinstance(item, Event), "lines go to sinks that take them"
    return _event(item)


def nanoseconds(item: Item) -> int:
    """Return when it happened, since the epoch; of a loss or a count, when its time had ended."""
    if isinstance(item, Loss | Count):
        return int(item.end)
    return int(getattr(item, "timestamp"))  # noqa: B009


def type_of(item: Item) -> str:
    """Return what stands under `type` in JSON."""
    assert not isinstance(item, str), "lines go to sinks that take them"
    return str(item.__struct_config__.tag or getattr(item, "type"))  # noqa: B009


def _day_and_time(item: Item) -> str:
    time = datetime.fromtimestamp(nanoseconds(item) / 1e9)
    return time.isoformat(" ", "milliseconds")


def line_of(item: Item) -> str:
    """Return the line of `item`, with the time of day where it has one."""
    if isinstance(item, Loss | Count):
        return describe(item)
    return f"{getattr(item, 'human_time').partition(' ')[2]} {describe(item)}"  # noqa: B009


def _event(item: Event) -> str:
    event, texts = item.flat(), item.texts
    who = f"{_bare(event.get('comm', ''))}[{event.get('pid', event['tid'])}]"
    own = (key for key in event if not (key in _HEAD or key in item.context or item.omits(key)))
    shown = ", ".join(f"{key}={value_of(event[key], quote=key in texts)}" for key in own)
    about = (key for key in item.context if key not in _HEAD)
    context = " ".join(f"{key}={word_of(event[key])}" for key in about)
    result = f" = {result_of(event['ret'])}" if "ret" in event else ""
    cut = f" (cut: {', '.join(event['truncated'])})" if event["truncated"] else ""
    call = f"{event['type']}({shown}){result}{cut}"
    return f"{who} {call}  {context}".rstrip()


def _count(count: Count) -> str:
    cut = truncated_of(count)
    key = ", ".join(
        f"{name}={value_of(value, quote=isinstance(value, str))}{'…' if name in cut else ''}"
        for name, value in flat_key(count).items()
    )
    ranges = [f"{range_}: {number}" for range_, number in spread_of(count)]
    spread = f" {{{', '.join(ranges)}}}" if ranges else ""
    return f"COUNT {count.count} {count.event}({key}){spread}"


def _bare(value: object) -> str:
    return printable(str(value))
