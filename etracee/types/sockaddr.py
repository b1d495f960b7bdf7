"""Socket addresses: `struct sockaddr` and what it holds for the families that users meet."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from etracee.fragments import Py
from etracee.types import address
from etracee.types.base import VARIABLE, Kind, Part, Type
from etracee.types.named import Named
from etracee.types.number import Number
from etracee.types.text import Text

SIZE = 128
"""Bytes of `struct sockaddr_storage`, the most that the kernel takes (include/linux/socket.h)."""


class SocketAddress(Type):
    """A socket address as the call passed it, at most SIZE bytes."""

    kind = Kind.OPAQUE
    capture = "sockaddr"
    most = SIZE
    storage = VARIABLE
    doc = "socket address"

    def __init__(self, families: Mapping[str, int]) -> None:
        """`families` are the AF_… names and numbers."""
        self.families = families

    @property
    def parts(self) -> Mapping[str, Part]:
        """Family, IP address, port and unix path."""
        return {
            "family": Part(
                Named(self.families, c="u16", doc="address family"),
                "Address family of a socket or of its address.",
                family,
                "sockaddr_family",
            ),
            "addr": Part(
                address.Address(), "IP address of a socket address.", addr, "sockaddr_addr"
            ),
            "port": Part(
                Number("u16"), "Port of an IPv4 or IPv6 socket address.", port, "sockaddr_port"
            ),
            "sun_path": Part(
                Text("path of a unix socket"),
                "Path of a unix socket; an abstract name begins with @, as in /proc/net/unix.",
                sun_path,
                None,
            ),
        }

    def shower(self) -> Py:
        """Print host:port, a unix path, or the bytes in hexadecimal."""
        return Py("sockaddr.show")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError("give family, addr, port or sun_path instead")


def family(raw: bytes) -> int | None:
    """Return the address family, in the host's byte order."""
    return int.from_bytes(raw[:2], "little") if len(raw) >= 2 else None


def addr(raw: bytes) -> int | None:
    """Return the 128-bit IP address; None for other families and for too short ones."""
    if family(raw) == socket.AF_INET and len(raw) >= 8:
        return address.from_v4(raw[4:8])
    if family(raw) == socket.AF_INET6 and len(raw) >= 24:
        return int.from_bytes(raw[8:24], "big")
    return None


def port(raw: bytes) -> int | None:
    """Return the port, which lies at the same place in both IP families."""
    if family(raw) in (socket.AF_INET, socket.AF_INET6) and len(raw) >= 4:
        return int.from_bytes(raw[2:4], "big")
    return None


def sun_path(raw: bytes) -> bytes | None:
    """Return a unix socket's path, or its abstract name with the leading NUL shown as @."""
    if family(raw) != socket.AF_UNIX or len(raw) <= 2:
        return None
    path = raw[2:]
    return b"@" + path[1:] if path[0] == 0 else path.partition(b"\0")[0]


def show(raw: bytes) -> str:
    """Print the whole address."""
    number, name = addr(raw), sun_path(raw)
    if number is not None:
        return address.show_with_port(number, port(raw))
    return name.decode("utf-8", "replace") if name is not None else raw.hex()


TYPES = {"sockaddr": SocketAddress}
