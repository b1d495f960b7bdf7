"""Text for people: a line for each item, in the manner of strace."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from datetime import datetime

from etracee.event import Alert, Event, Item, Loss
from etracee.problems import printable
from etracee.sinks.base import DescriptorSink, SinkKind
from etracee.sinks.file import FileOutlet, opener

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
_PLAIN = re.compile(r"[^\s\"'=\\]+")
"""A text that ends where the next space is."""


class TextSink(DescriptorSink):
    """Writes each item as a line: time, process, call, arguments, result."""

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines; control characters are escaped."""
        return "".join(f"{_line(item)}\n" for item in items).encode("utf-8", "replace")


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
    return _event(item)


def nanoseconds(item: Item) -> int:
    """Return when it happened, since the epoch; of a loss, when its time had ended."""
    return int(item.end if isinstance(item, Loss) else getattr(item, "timestamp"))  # noqa: B009


def type_of(item: Item) -> str:
    """Return what stands under `type` in JSON."""
    return str(item.__struct_config__.tag or getattr(item, "type"))  # noqa: B009


def _day_and_time(item: Item) -> str:
    time = datetime.fromtimestamp(nanoseconds(item) / 1e9)
    return time.isoformat(" ", "milliseconds")


def _line(item: Item) -> str:
    if isinstance(item, Loss):
        return describe(item)
    return f"{getattr(item, 'human_time').partition(' ')[2]} {describe(item)}"  # noqa: B009


def _event(item: Event) -> str:
    event, texts = item.flat(), item.texts
    who = f"{_bare(event.get('comm', '?'))}[{event.get('pid', event['tid'])}]"
    own = (key for key in event if key not in _HEAD and key not in item.context)
    shown = ", ".join(f"{key}={_value(event[key], quote=key in texts)}" for key in own)
    about = (key for key in item.context if key not in _HEAD)
    context = " ".join(f"{key}={_word(event[key])}" for key in about)
    result = _result(event["ret"]) if "ret" in event else ""
    cut = f" (cut: {', '.join(event['truncated'])})" if event["truncated"] else ""
    call = f"{event['type']}({shown}){result}{cut}"
    return f"{who} {call}  {context}".rstrip()


def _word(value: object) -> str:
    """Return a value that is not set off by commas: quoted where its end would not be seen."""
    is_plain = not isinstance(value, str) or _PLAIN.fullmatch(value)
    return _value(value, quote=not is_plain)


def _bare(value: object) -> str:
    return printable(str(value))


def _value(value: object, *, quote: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"[{', '.join(_value(element, quote=quote) for element in value)}]"
    return _quoted(str(value)) if quote else printable(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def _result(ret: int | None) -> str:
    """Print a result as strace does, that of a call which does not return too."""
    if ret is None:
        return " = ?"
    name = f" {errno.errorcode[-ret]}" if -ret in errno.errorcode else ""
    return f" = {ret}{name}"
