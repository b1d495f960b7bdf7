"""JSON lines: one object a line, every byte of an event escaped where it has to be."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etracee.event import Item
from etracee.sinks.base import DescriptorSink


class JsonSink(DescriptorSink):
    """Writes each item as a line of JSON, in UTF-8."""

    _encoder = msgspec.json.Encoder()

    def encode(self, items: Sequence[Item]) -> bytes:
        """Return the lines; msgspec escapes control characters, so none breaks a line."""
        return self._encoder.encode_lines(items)
