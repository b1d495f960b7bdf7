"""The system log: of this host, or another's over UDP.

Each message is a datagram of its own and holds no control characters, so none can pass for two.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from etracee.event import Alert, Item, Loss
from etracee.problems import printable, wrong
from etracee.sinks.base import Outlet, SinkKind
from etracee.sinks.datagram import TIMEOUT, DatagramOutlet, UnixOutlet
from etracee.sinks.text import describe, nanoseconds, type_of

AUTHPRIV = 10
"""The facility: what is told here is not for everybody's eyes (RFC 5424, table 1)."""
_SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5, "informational": 6}
_LOCAL_LIMIT, _REMOTE_LIMIT = 8192, 2048
"""Bytes of a message: rsyslog's default, and what RFC 5424 (6.1) asks of every receiver."""
_CUT = "…[cut]".encode()
_PORT = 514


def severity(item: Item) -> int:
    """Return the number that syslog and the journal have for the weight of `item`."""
    if isinstance(item, Alert):
        return _SEVERITIES[item.level]
    return 4 if isinstance(item, Loss) else 6


class LocalSyslog(UnixOutlet):
    """Writes to the daemon's socket in the form of the C library's syslog(3)."""

    def encode(self, items: Sequence[Item]) -> bytes:
        [item] = items
        when = time.strftime("%b %e %T", time.localtime(nanoseconds(item) // 10**9))
        return _message(item, f"{when} etracee[{os.getpid()}]:", _LOCAL_LIMIT)


class RemoteSyslog(DatagramOutlet):
    """Sends RFC 5424 over UDP (RFC 5426), which confirms nothing."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._host, self._port = host, port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._own_name = os.uname().nodename or "-"

    def connect(self) -> socket.socket:
        addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = addresses[0]
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(TIMEOUT)
            connected.connect(address)
        except OSError:
            connected.close()
            raise
        return connected

    def encode(self, items: Sequence[Item]) -> bytes:
        [item] = items
        seconds, rest = divmod(nanoseconds(item), 10**9)
        when = f"{time.strftime('%FT%T', time.gmtime(seconds))}.{rest // 1000:06}Z"
        head = f"1 {when} {self._own_name} etracee {os.getpid()} {type_of(item)} -"
        return _message(item, head, _REMOTE_LIMIT)


def _message(item: Item, head: str, limit: int) -> bytes:
    text = f"<{AUTHPRIV * 8 + severity(item)}>{head} {printable(describe(item))}"
    message = text.encode()
    if len(message) <= limit:
        return message
    return message[: limit - len(_CUT)].decode("utf-8", "ignore").encode() + _CUT


def _open(target: str) -> Outlet:
    if target and not target.startswith("/"):
        return RemoteSyslog(*_host_and_port(target))
    outlet = LocalSyslog(target or "/dev/log")
    hint = "start rsyslog or journald, or name another socket or host: syslog:/PATH, syslog:HOST"
    outlet.demand("system log", hint)
    return outlet


def _host_and_port(target: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{target}")
        host, port = parts.hostname, parts.port or _PORT
        if host and parts.netloc == target and "@" not in target:
            host.encode("idna")
            return host, port
    except ValueError:
        pass
    message = f"--sink syslog: {target!r} is no HOST:PORT"
    raise wrong(None, message, "such as log.example.org, 192.0.2.1:514 or [2001:db8::1]:514")


SINK = SinkKind(
    name="syslog",
    target="[HOST[:PORT]|/SOCKET]",
    doc="The system log, facility authpriv; HOST's over UDP. Long messages are cut.",
    takes_events=False,
    open=_open,
)
