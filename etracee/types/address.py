"""IP addresses, both versions as one 128-bit number."""

from __future__ import annotations

import functools
import ipaddress

from etracee.event import Storage
from etracee.fragments import Py
from etracee.types.base import Kind, Type

_MAPPED = 0xFFFF << 32
"""::ffff:0:0/96, RFC 4291 section 2.5.5.2: an IPv4-mapped address equals the IPv4 one."""


class Address(Type):
    """An IPv4 or IPv6 address; a part of a socket address."""

    kind = Kind.ADDRESS
    doc = "IP address"
    storage = Storage("u64", "16s", 16, array=2)

    def shower(self) -> Py:
        """Print dotted IPv4 also where it came as an IPv4-mapped IPv6 address."""
        return Py("address.show")

    def parse(self, text: str) -> int:
        """Return the 128-bit number of an address."""
        try:
            return _number(ipaddress.ip_address(text))
        except ValueError:
            raise ValueError(f"{text!r} is not an IP address") from None

    def parse_network(self, text: str) -> tuple[int, int]:
        """Return the first and the last 128-bit number of a network, or of a single address."""
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is not a network: {error}") from None
        return _number(network[0]), _number(network[-1])


def _number(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    return int(address) if address.version == 6 else _MAPPED | int(address)


@functools.lru_cache(maxsize=4096)
def show(value: int) -> str:
    """Print the address whose 128-bit number is `value`."""
    if value >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(value))


def show_with_port(value: int, port: int | None) -> str:
    """Print an address and a port as in a URL."""
    host = show(value)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def from_v4(raw: bytes) -> int:
    """Return the number of 4 bytes in network order."""
    return _MAPPED | int.from_bytes(raw, "big")


TYPES = {"address": Address}
