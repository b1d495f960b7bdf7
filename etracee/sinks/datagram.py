"""Receivers that take each message as a datagram."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from etracee.problems import host_lacks
from etracee.sinks.base import Outlet, UnreachableError, reason_of

TIMEOUT = 10.0
"""Seconds that a receiver may leave a datagram, or an answer, waiting."""


class DatagramOutlet(Outlet):
    """Sends each message by itself, and connects anew after an error."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Return a socket that is connected to the receiver; OSError if it cannot be."""
        raise NotImplementedError

    def transmit(self, connected: socket.socket, message: bytes) -> None:
        """Send one message."""
        connected.send(message)

    def send(self, messages: Sequence[bytes]) -> int:
        done = 0
        try:
            if self._socket is None:
                self._socket = self.connect()
            for message in messages:
                self.transmit(self._socket, message)
                done += 1
        except OSError as error:
            self.close()
            if not done:
                raise UnreachableError(f"cannot be reached: {reason_of(error)}") from None
        return done

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class UnixOutlet(DatagramOutlet):
    """Sends to the socket at `path`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.address = path

    def connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            connected.settimeout(TIMEOUT)
            connected.connect(self.address)
        except OSError:
            connected.close()
            raise
        return connected

    def demand(self, service: str, hint: str) -> None:
        """Connect now; ProblemsError if nobody listens."""
        try:
            self._socket = self.connect()
        except OSError as error:
            message = f"no {service} listens on {self.address}: {reason_of(error)}"
            raise host_lacks(message, hint) from None
