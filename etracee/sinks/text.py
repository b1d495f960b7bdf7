"""Text for people: a line for each item, in the manner of strace."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import msgspec

from etracee.event import Alert, Item, Loss
from etracee.problems import printable
from etracee.sinks.base import DescriptorSink

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
_CONTEXT = ("ppid", "uid", "gid", "euid", "egid", "cgroup_id")


class TextSink(DescriptorSink):
    """Writes each item as a line: time, process, call, arguments, result."""

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines; control characters are escaped."""
        return "".join(f"{_line(item)}\n" for item in items).encode("utf-8", "replace")


def _line(item: Item) -> str:
    if isinstance(item, Alert):
        return f"{_time(item.human_time)} ALERT {item.level} {item.rule}: {printable(item.message)}"
    if isinstance(item, Loss):
        return f"LOST {item.count} {item.event} events"
    return _event(msgspec.structs.asdict(item), item.texts)


def _event(event: dict[str, Any], texts: tuple[str, ...]) -> str:
    who = f"{_bare(event.get('comm', '?'))}[{event.get('pid', event['tid'])}]"
    own = (key for key in event if key not in _HEAD and key not in _CONTEXT)
    shown = ", ".join(f"{key}={_value(event[key], quote=key in texts)}" for key in own)
    context = " ".join(f"{key}={event[key]}" for key in _CONTEXT if key in event)
    result = _result(event["ret"]) if "ret" in event else ""
    cut = f" (cut: {', '.join(event['truncated'])})" if event["truncated"] else ""
    call = f"{event['type']}({shown}){result}{cut}"
    return f"{_time(event['human_time'])} {who} {call}  {context}".rstrip()


def _time(human: str) -> str:
    return human.partition(" ")[2]


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


def _result(ret: int) -> str:
    name = f" {errno.errorcode[-ret]}" if -ret in errno.errorcode else ""
    return f" = {ret}{name}"
