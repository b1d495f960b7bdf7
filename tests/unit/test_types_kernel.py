"""Values that only the kernel has: terminals, what lies behind descriptors, ends of sockets."""

from __future__ import annotations

import socket
import struct

import pytest

from etracee.catalog import load_catalog
from etracee.types import descriptor, endpoints, flags, terminal
from etracee.types.flags import Flags


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"pts0", b"pts/0"),
        (b"pts123", b"pts/123"),
        (b"tty1", b"tty1"),
        (b"ttyS0", b"ttyS0"),
        (b"ptsx", b"ptsx"),
        (b"", None),
    ],
)
def test_terminal(raw: bytes, shown: bytes | None) -> None:
    assert terminal.name_of(raw.ljust(64, b"\0")) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"/etc/passwd", b"/etc/passwd"),
        (b"", b""),
        (b"\0", None),
        (b"\0" + struct.pack("<IQ", 0x50495045, 77), b"pipe:[77]"),
        (b"\0" + struct.pack("<IQ", 0x534F434B, (1 << 64) - 1), b"socket:[%d]" % ((1 << 64) - 1)),
        (b"\0" + struct.pack("<IQ", 0x09041934, 9) + b"[eventfd]", b"anon_inode:[eventfd]"),
        (b"\0" + struct.pack("<IQ", 0x50494446, 9), b"anon_inode:[pidfd]"),
        (b"\0" + struct.pack("<IQ", 0x01021994, 9) + b"memfd:\xff\n", b"/memfd:\xff\n (deleted)"),
        (b"\0" + struct.pack("<IQ", 0x01021994, 9) + b"unmounted", None),
        (b"\0" + struct.pack("<IQ", 0x6E736673, 9), None),
    ],
)
def test_descriptor(raw: bytes, shown: bytes | None) -> None:
    assert descriptor.name_of(raw) == shown


def _ends(family: int, local: tuple[str, int], remote: tuple[str, int]) -> bytes:
    mapped = b"" if family == socket.AF_INET6 else bytes(10) + b"\xff\xff"
    own, other = (mapped + socket.inet_pton(family, host) for host, _ in (local, remote))
    return struct.pack("<HHHHHHI16s16s", 1, family, 1, 6, local[1], remote[1], 1, own, other)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (
            _ends(socket.AF_INET, ("10.0.0.1", 22), ("10.0.0.2", 40000)),
            "10.0.0.1:22 10.0.0.2:40000",
        ),
        (_ends(socket.AF_INET6, ("::1", 22), ("fe80::1", 1)), "[::1]:22 [fe80::1]:1"),
        (_ends(socket.AF_INET6, ("::ffff:10.0.0.1", 22), ("::", 0)), "10.0.0.1:22"),
        (struct.pack("<HHHHHHI32x", 1, 16, 3, 15, 0, 0, 0), "16/3/15"),
    ],
)
def test_endpoints(raw: bytes, shown: str) -> None:
    assert endpoints.check(raw) == raw
    assert endpoints.show(raw) == shown


def test_without_a_socket_there_are_no_endpoints() -> None:
    assert endpoints.check(bytes(endpoints.SIZE)) is None


def test_unconnected_has_one_end() -> None:
    raw = _ends(socket.AF_INET, ("0.0.0.0", 0), ("0.0.0.0", 0))
    assert (endpoints.local_addr(raw), endpoints.local_port(raw)) == (0xFFFF << 32, 0)
    assert (endpoints.remote_addr(raw), endpoints.remote_port(raw)) == (None, None)


def test_all_capabilities_are_one_word() -> None:
    kind = load_catalog("x86_64").context["cap_effective"].type
    assert isinstance(kind, Flags)
    show, every = flags.show(kind.names), (1 << 41) - 1
    assert show(every) == "CAP_ALL"
    assert show(every | 1 << 41) == "CAP_ALL|0x20000000000"
    assert show(1 << 21 | 1) == "CAP_CHOWN|CAP_SYS_ADMIN"
    assert show(every & ~1).startswith("CAP_DAC_OVERRIDE|")
    assert kind.parse("CAP_ALL") == every
