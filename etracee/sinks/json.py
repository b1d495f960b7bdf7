"""JSON lines: one object a line, every byte of an event escaped where it has to be."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etracee.event import Item
from etracee.sinks.base import DescriptorSink, SinkKind
from etracee.sinks.file import FileOutlet, opener

_ENCODER = msgspec.json.Encoder()


class JsonSink(DescriptorSink):
    """Writes each item as a line of JSON, in UTF-8."""

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines; msgspec escapes control characters, so none breaks a line."""
        return _ENCODER.encode_lines(items)


class JsonFile(FileOutlet):
    """Appends each item as a line of JSON, in UTF-8."""

    def encode(self, items: Sequence[Item]) -> bytes:
        return _ENCODER.encode_lines(items)


SINK = SinkKind(
    name="json",
    target="FILE",
    doc="JSON lines, appended to FILE; SIGHUP opens it anew.",
    takes_events=True,
    open=opener(JsonFile),
)
