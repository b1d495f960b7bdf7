"""Socket addresses: `struct sockaddr` and what it holds for the families that users meet."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from etracee.fragments import Py
from etracee.types import address
from etracee.types.base import VARIABLE, Kind, Names, Part, Type
from etracee.types.named import Named
from etracee.types.number import Number
from etracee.types.text import Text

SIZE = 128
"""Bytes of `struct sockaddr_storage`, the most that the kernel takes (include/linux/socket.h)."""

_AT = {
    "flowinfo": (socket.AF_INET6, 4, 4, "IPv6 flow information, as the header has it."),
    "scope_id": (socket.AF_INET6, 24, 4, "Interface that an IPv6 address of a link belongs to."),
    "nl_pid": (socket.AF_NETLINK, 4, 4, "Port id of a netlink socket; 0 is the kernel."),
    "nl_groups": (socket.AF_NETLINK, 8, 4, "Multicast groups of a netlink address, a bit each."),
    "cid": (socket.AF_VSOCK, 8, 4, "Context id of a vsock address."),
    "ifindex": (socket.AF_PACKET, 4, 4, "Interface of a packet socket's address; 0 is any."),
    "packet_protocol": (socket.AF_PACKET, 2, 2, "Protocol of a packet socket's address."),
}
"""Numbers by name: family, offset and size in bytes, meaning.

include/uapi/linux/in6.h, netlink.h, vm_sockets.h, if_packet.h.
"""
_CIDS = Names(
    "vsock context id",
    {
        "VMADDR_CID_HYPERVISOR": 0,
        "VMADDR_CID_LOCAL": 1,
        "VMADDR_CID_HOST": 2,
        "VMADDR_CID_ANY": 0xFFFFFFFF,
    },
)
_NUMBERS: Mapping[str, Type] = {
    "nl_groups": Number("u32", base=16),
    "cid": Named(_CIDS, c="u32"),
}


class SocketAddress(Type):
    """A socket address, at most SIZE bytes."""

    kind = Kind.OPAQUE
    capture = "bytes"
    most = SIZE
    storage = VARIABLE
    doc = "socket address"

    def __init__(self, families: Names, protocols: Names) -> None:
        """`families` are the AF_… names and numbers, `protocols` those of packet sockets."""
        self.families = families
        self.protocols = Named(protocols, c="u16")

    @property
    def parts(self) -> Mapping[str, Part]:
        """Family, IP address, port and unix path, and what other families have in their place."""
        return {
            "family": Part(
                Named(self.families, c="u16"),
                "Address family of a socket or of its address.",
                family,
                "sockaddr_family",
            ),
            "addr": Part(
                address.Address(), "IP address of a socket address.", addr, "sockaddr_addr"
            ),
            "port": Part(
                Number("u32"), "Port of an IP or vsock socket address.", port, "sockaddr_port"
            ),
            "sun_path": Part(
                Text("path of a unix socket"),
                "Path of a unix socket; an abstract name begins with @, as in /proc/net/unix.",
                sun_path,
                None,
            ),
            **{name: self._number_part(name) for name in _AT},
        }

    def _number_part(self, name: str) -> Part:
        family_, at, size, doc = _AT[name]
        kind = self.protocols if name == "packet_protocol" else _NUMBERS.get(name, Number("u32"))
        given = int(family_), at, size, int(name == "flowinfo")
        return Part(kind, doc, number, "sockaddr_number", given)

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
    return number(raw, socket.AF_VSOCK, 4, 4, 0)


def sun_path(raw: bytes) -> bytes | None:
    """Return a unix socket's path, or its abstract name with the leading NUL shown as @."""
    if family(raw) != socket.AF_UNIX or len(raw) <= 2:
        return None
    path = raw[2:]
    return b"@" + path[1:] if path[0] == 0 else path.partition(b"\0")[0]


def number(raw: bytes, of: int, at: int, size: int, is_swapped: int) -> int | None:
    """Return the number of `size` bytes at byte `at` of an address of family `of`, or None."""
    if family(raw) != of or len(raw) < at + size:
        return None
    return int.from_bytes(raw[at : at + size], "big" if is_swapped else "little")


def show(raw: bytes) -> str:
    """Print the whole address."""
    host, name = addr(raw), sun_path(raw)
    if host is not None:
        return address.show_with_port(host, port(raw))
    return name.decode("utf-8", "replace") if name is not None else raw.hex()


TYPES = {"sockaddr": SocketAddress}
