"""JSON lines: one object a line, every byte of an event escaped where it has to be."""

from __future__ import annotations

from collections.abc import Sequence

from etracee.encoding import encode_line
from etracee.event import Item
from etracee.sinks.base import DescriptorSink, SinkKind
from etracee.sinks.file import FileOutlet, opener


class JsonSink(DescriptorSink):
    """Writes each item as a line of JSON, in UTF-8."""

    takes_lines = True

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines."""
        return _encode(items)


class JsonFile(FileOutlet):
    """Appends each item as a line of JSON, in UTF-8."""

    takes_lines = True

    def encode(self, items: Sequence[Item]) -> bytes:
        return _encode(items)


def _encode(items: Sequence[Item]) -> bytes:
    try:
        return "".join(items).encode()  # type: ignore[arg-type]
    except TypeError:  # not all of them are lines
        return b"".join(map(_line, items))


def _line(item: Item) -> bytes:
    return (item if isinstance(item, str) else encode_line(item)).encode()


SINK = SinkKind(
    name="json",
    target="FILE",
    doc="JSON lines, appended to FILE; SIGHUP opens it anew.",
    takes_events=True,
    open=opener(JsonFile),
)
