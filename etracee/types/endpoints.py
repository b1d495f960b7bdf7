"""Sockets: what kind one is, and the addresses at both its ends."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from etracee.event import Storage
from etracee.fragments import Py, py
from etracee.types import address
from etracee.types.base import Kind, Names, Part, Type
from etracee.types.named import Named
from etracee.types.number import Number

_LAYOUT = struct.Struct("<HHHHHHI16s16s")
"""`struct endpoints` of templates/bpf/include/endpoints.h: is it a socket, family, type, protocol,
both ports in host order, whether it has addresses, both addresses in network order."""
SIZE = _LAYOUT.size


class Endpoints(Type):
    """What the kernel knows of the socket behind a descriptor (struct sock_common)."""

    kind = Kind.OPAQUE
    capture = "endpoints"
    storage = Storage("char", f"{SIZE}s", SIZE, array=SIZE)
    may_miss = True
    doc = "both ends of a socket"

    def __init__(self, families: Names, kinds: Names) -> None:
        """`families` are the AF_… names and numbers, `kinds` the SOCK_… ones."""
        self.families, self.kinds = families, kinds

    @property
    def parts(self) -> Mapping[str, Part]:
        """The socket's kind, and of IPv4 and IPv6 ones the addresses."""
        family = Named(self.families, c="u16")
        kind = Named(self.kinds, c="u16")
        ip, port = address.Address(), Number("u16")
        return {
            "socket.family": _part(family, "Address family of the socket.", socket_family),
            "socket.type": _part(kind, "Type of the socket.", socket_type),
            "socket.protocol": _part(
                port, "Protocol of the socket, such as 6 for TCP (IPPROTO_TCP).", socket_protocol
            ),
            "local.addr": _part(ip, "The socket's own IP address, as getsockname(2).", local_addr),
            "local.port": _part(port, "The socket's own port, as getsockname(2).", local_port),
            "remote.addr": _part(
                ip, "IP address that the socket is connected to, as getpeername(2).", remote_addr
            ),
            "remote.port": _part(
                port, "Port that the socket is connected to, as getpeername(2).", remote_port
            ),
        }

    def decode(self, raw: Py) -> Py:
        """Take what is no socket for missing."""
        return py("endpoints.check({raw})", raw=raw)

    def shower(self) -> Py:
        """Print both ends of IP sockets, else the numbers of family, type and protocol."""
        return Py("endpoints.show")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError("give socket.family, local.addr, remote.port and so on instead")


def _part(kind: Type, doc: str, python: Callable[[bytes], int | None]) -> Part:
    return Part(kind, doc, python, f"endpoints_{python.__name__}")


def check(raw: bytes) -> bytes | None:
    """Return the record's bytes; None where the descriptor is none of a socket."""
    return raw if _LAYOUT.unpack(raw)[0] else None


def socket_family(raw: bytes) -> int:
    """Return the address family."""
    return int(_LAYOUT.unpack(raw)[1])


def socket_type(raw: bytes) -> int:
    """Return the type, without the flags that socket(2) takes beside it."""
    return int(_LAYOUT.unpack(raw)[2])


def socket_protocol(raw: bytes) -> int:
    """Return the protocol."""
    return int(_LAYOUT.unpack(raw)[3])


def local_port(raw: bytes) -> int | None:
    """Return the own port, 0 where it has none yet; None where the family has no ports."""
    fields = _LAYOUT.unpack(raw)
    return fields[4] if fields[6] else None


def remote_port(raw: bytes) -> int | None:
    """Return the other end's port; None where the socket is not connected."""
    fields = _LAYOUT.unpack(raw)
    return fields[5] if fields[6] and fields[5] else None


def local_addr(raw: bytes) -> int | None:
    """Return the own 128-bit address."""
    fields = _LAYOUT.unpack(raw)
    return int.from_bytes(fields[7], "big") if fields[6] else None


def remote_addr(raw: bytes) -> int | None:
    """Return the other end's 128-bit address; None where the socket is not connected."""
    fields = _LAYOUT.unpack(raw)
    return int.from_bytes(fields[8], "big") if fields[6] and fields[5] else None


def show(raw: bytes) -> str:
    """Print the whole."""
    own, other = local_addr(raw), remote_addr(raw)
    if own is None:
        return f"{socket_family(raw)}/{socket_type(raw)}/{socket_protocol(raw)}"
    here = address.show_with_port(own, local_port(raw))
    return here if other is None else f"{here} {address.show_with_port(other, remote_port(raw))}"


TYPES = {"endpoints": Endpoints}
