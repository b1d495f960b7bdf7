"""The systemd journal, in its native protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence

import msgspec

from etracee.event import Alert, Item
from etracee.problems import printable
from etracee.sinks.base import Outlet, SinkKind
from etracee.sinks.datagram import UnixOutlet
from etracee.sinks.syslog import AUTHPRIV, severity
from etracee.sinks.text import describe, type_of

_ENCODER = msgspec.json.Encoder()
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Journal(UnixOutlet):
    """Sends each item with fields to search by, and whole as JSON in ETRACEE_JSON."""

    def encode(self, items: Sequence[Item]) -> bytes:
        return b"".join(_field(name, value) for name, value in _fields(items[0]))

    def transmit(self, connected: socket.socket, message: bytes) -> None:
        """Send one entry; one that is too long for a datagram as a sealed file in memory."""
        try:
            connected.send(message)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            _send_as_file(connected, message)


def _fields(item: Item) -> Iterator[tuple[str, bytes]]:
    yield "MESSAGE", printable(describe(item)).encode()
    yield "PRIORITY", b"%d" % severity(item)
    yield "SYSLOG_IDENTIFIER", b"etracee"
    yield "SYSLOG_FACILITY", b"%d" % AUTHPRIV
    yield "ETRACEE_TYPE", type_of(item).encode()
    if isinstance(item, Alert):
        yield "ETRACEE_RULE", item.rule.encode()
        yield "ETRACEE_LEVEL", item.level.encode()
        yield "ETRACEE_TITLE", item.title.encode()
        for tag in item.tags:
            yield "ETRACEE_TAG", tag.encode()
    yield "ETRACEE_JSON", _ENCODER.encode(item)


def _field(name: str, value: bytes) -> bytes:
    """Return a field; a value with a newline is led by its length, so that it cannot end early."""
    if b"\n" in value:
        return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value)
    return b"%s=%s\n" % (name.encode(), value)


def _send_as_file(connected: socket.socket, message: bytes) -> None:
    descriptor = os.memfd_create("etracee", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(message)
        file.flush()
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        socket.send_fds(connected, [b""], [file.fileno()])


def _open(target: str) -> Outlet:
    outlet = Journal(target or "/run/systemd/journal/socket")
    outlet.demand("journal", "systemd-journald must run; without it, use syslog or json:FILE")
    return outlet


SINK = SinkKind(
    name="journald",
    target="[/SOCKET]",
    doc="The systemd journal, with fields such as ETRACEE_RULE; SOCKET is a namespace's.",
    takes_events=False,
    open=_open,
)
