"""How values are printed: as strace would."""

from __future__ import annotations

import pytest

from etracee.catalog import load_catalog
from etracee.catalog.model import Argument
from etracee.types import address, device, flags, ioctl, mode, named, sockaddr, texts, wait_status
from etracee.types.base import Names
from etracee.types.flags import Flags


def _open_flags(arch: str = "x86_64") -> Flags:
    kind = load_catalog(arch).events["openat"].fields["flags"].type
    assert isinstance(kind, Flags)
    return kind


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "O_RDONLY"),
        (0o2, "O_RDWR"),
        (0o3, "O_ACCMODE"),
        (0o1101, "O_WRONLY|O_CREAT|O_TRUNC"),
        (0o4010000, "O_RDONLY|O_SYNC"),
        (0o10000, "O_RDONLY|O_DSYNC"),
        (0o20200002, "O_RDWR|O_TMPFILE"),
        (0o200000, "O_RDONLY|O_DIRECTORY"),
        (0x80000000, "O_RDONLY|0x80000000"),
        (0o101 | 0x40000004, "O_WRONLY|O_CREAT|0x40000004"),
    ],
)
def test_flags(value: int, shown: str) -> None:
    assert flags.show(_open_flags().names)(value) == shown


def test_empty_set_without_a_group_is_zero() -> None:
    show = flags.show([("MFD_CLOEXEC", 1, 1)])
    assert (show(0), show(1), show(2), show(3)) == ("0", "MFD_CLOEXEC", "0x2", "MFD_CLOEXEC|0x2")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0x22, "MAP_PRIVATE|MAP_ANONYMOUS"),
        (0x40022 | 21 << 26, "MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT"),
        (0x1 | 63 << 26, "MAP_SHARED|63<<MAP_HUGE_SHIFT"),
    ],
)
def test_number_among_flags(value: int, shown: str) -> None:
    kind = load_catalog("x86_64").events["mmap"].fields["flags"].type
    assert isinstance(kind, Flags)
    assert flags.show(kind.names)(value) == shown
    assert kind.parse(shown) == value


def test_number_that_asks_for_the_flags_in_effect() -> None:
    """As strace prints it: 0xffffffff is every flag, and chooses none."""
    kind = load_catalog("x86_64").events["personality"].fields["personality"].type
    assert isinstance(kind, Flags)
    show = flags.show(kind.names, kind.query)
    assert (show(0xFFFFFFFF), show(0x40000)) == ("0xffffffff", "PER_LINUX|ADDR_NO_RANDOMIZE")


@pytest.mark.parametrize(
    ("ret", "shown"),
    [(0, "0x0"), (0x7F0000001000, "0x7f0000001000"), (-12, -12), (-4096, "0xfffffffffffff000")],
)
def test_addresses_that_calls_return(ret: int, shown: object) -> None:
    """The greatest error is 4095: what lies below, as the last page, is an address."""
    assert named.show_address(ret) == shown


def test_flags_of_another_architecture() -> None:
    assert flags.show(_open_flags("aarch64").names)(0o40000) == "O_RDONLY|O_DIRECTORY"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (17, "SIGCHLD"),
        (0x1200011, "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"),
        (0x4100, "CLONE_VM|CLONE_VFORK"),
        (0x80, "128"),
        (0x10000FF, "CLONE_CHILD_SETTID|255"),
        (1 << 60 | 0x100 | 34, "CLONE_VM|0x1000000000000000|SIGRT_2"),
    ],
)
def test_flags_of_clone_with_a_signal(value: int, shown: str) -> None:
    kind = load_catalog("x86_64").events["clone"].fields["flags"].type
    assert isinstance(kind, Flags)
    assert flags.show_with_signal(kind.bits, kind.signals)(value) == shown
    assert kind.read_shown(shown) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (32767, "32767"),
        (0x8000, "SWAP_FLAG_PREFER|0"),
        (0x18003, "SWAP_FLAG_PREFER|SWAP_FLAG_DISCARD|3"),
        (0x100005, "0x100000|5"),
    ],
)
def test_flags_of_swapon_with_a_priority(value: int, shown: str) -> None:
    kind = load_catalog("x86_64").events["swapon"].fields["flags"].type
    assert isinstance(kind, Flags) and kind.number is not None
    assert flags.show_with_number(kind.bits, kind.number)(value) == shown
    assert kind.read_shown(shown) == value


def test_arguments_of_clone_stand_in_the_order_of_the_architecture() -> None:
    """CONFIG_CLONE_BACKWARDS: arm64 has tls before child_tidptr."""
    last = {}
    for arch in ("x86_64", "aarch64"):
        fields = load_catalog(arch).events["clone"].fields.values()
        named = {f.origin.index: f.name for f in fields if isinstance(f.origin, Argument)}
        last[arch] = [named[3], named[4]]
    assert last == {"x86_64": ["child_tidptr", "tls"], "aarch64": ["tls", "child_tidptr"]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "000"), (0o7, "007"), (0o644, "0644"), (0o4755, "04755"), (0o100644, "0100644")],
)
def test_modes(value: int, shown: str) -> None:
    assert mode.show(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0o644, "0644"),
        (0o020600, "S_IFCHR|0600"),
        (0o106777, "S_IFREG|S_ISUID|S_ISGID|0777"),
        (0o170644, "0170644"),
    ],
)
def test_modes_with_the_type_of_file(value: int, shown: str) -> None:
    assert mode.show_typed(value) == shown
    assert mode.Mode(is_typed=True).parse(shown) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0x103, "makedev(0x1, 0x3)"),
        (0xFFFFFFFF, "makedev(0xfff, 0xfffff)"),
        (0, "makedev(0, 0)"),
    ],
)
def test_devices(value: int, shown: str) -> None:
    assert device.show(value) == shown
    assert device.Device().parse(shown) == value


@pytest.mark.parametrize("text", ["1:3", "0x103", "259"])
def test_devices_as_they_are_written(text: str) -> None:
    assert device.Device().parse(text) == 0x103


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0x5401, "TCGETS"),
        (0x80045430, "TIOCGPTN"),
        (0x1234, "_IOC(_IOC_NONE, 0x12, 0x34, 0)"),
        (0xC0010000, "_IOC(_IOC_READ|_IOC_WRITE, 0, 0, 0x1)"),
    ],
)
def test_commands(value: int, shown: str) -> None:
    kind = ioctl.Command(Names("command", {"TCGETS": 0x5401, "TIOCGPTN": 0x80045430}))
    assert ioctl.show({v: n for n, v in kind.names.items()})(value) == shown
    assert kind.parse(shown) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0xFFFF_0A00_0001, "10.0.0.1"),
        (1, "::1"),
        (0, "::"),
        (0x0A000001, "::a00:1"),
        (0xFE80 << 112, "fe80::"),
    ],
)
def test_addresses(value: int, shown: str) -> None:
    assert address.show(value) == shown


@pytest.mark.parametrize(
    ("raw", "family", "port", "path", "shown"),
    [
        (b"\x02\0\x00\x35\x7f\0\0\x01", 2, 53, None, "127.0.0.1:53"),
        (b"\x0a\0\x00\x35" + bytes(19) + b"\x01", 10, 53, None, "[::1]:53"),
        (b"\x01\0/run/x\0garbage", 1, None, b"/run/x", "/run/x"),
        (b"\x01\0\0abstract\0y", 1, None, b"@abstract\0y", "@abstract\0y"),
        (b"\x01\0", 1, None, None, "0100"),
        (b"\x10\0\1\2", 16, None, None, "10000102"),
        (b"\x02", None, None, None, "02"),
        (b"", None, None, None, ""),
    ],
)
def test_socket_addresses(
    raw: bytes, family: int | None, port: int | None, path: bytes | None, shown: str
) -> None:
    assert sockaddr.family(raw) == family
    assert sockaddr.port(raw) == port
    assert sockaddr.sun_path(raw) == path
    assert sockaddr.show(raw) == shown


@pytest.mark.parametrize(
    ("raw", "elements"),
    [
        (b"", []),
        (b"\0", [b""]),
        (b"a\0", [b"a"]),
        (b"a\0b c\0", [b"a", b"b c"]),
        (b"a\0\0b\0", [b"a", b"", b"b"]),
        (b"a\0cu", [b"a", b"cu"]),
    ],
)
def test_vectors(raw: bytes, elements: list[bytes]) -> None:
    assert texts.split(raw) == elements


@pytest.mark.parametrize(
    ("status", "code", "signal"),
    [(0, 0, None), (0x100, 1, None), (0xFF00, 255, None), (9, None, 9), (0x8B, None, 11)],
)
def test_wait_statuses(status: int, code: int | None, signal: int | None) -> None:
    assert wait_status.exit_code(status) == code
    assert wait_status.signal(status) == signal
