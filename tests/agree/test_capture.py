"""The whole way of a call on the host: from a task and user memory to the event that is shown."""

from __future__ import annotations

import ctypes
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hostc
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etracee.clock import Clock
from etracee.decoding import import_decoder

LIMIT = 16
ARGV_LIMIT = 64
FAULT = 8
"""An address that cannot be read."""
REGISTERS = ("pt_regs.di", "pt_regs.si", "pt_regs.dx", "pt_regs.r10")

texts = st.binary(max_size=LIMIT + 3).filter(lambda raw: b"\0" not in raw)


@dataclass
class Kernel:
    """A host build; every kernel structure lies in one block, at the offsets given to it."""

    built: hostc.Built
    reader: hostc.BothReaders

    def call(
        self, event: str, arguments: Sequence[int | bytes | list[bytes]], ret: int, **task: Any
    ) -> dict[str, Any] | None:
        """Let the call end, and return the event that is shown, None where nothing was sent."""
        kept: list[Any] = []
        block = ctypes.create_string_buffer(1 << 14)
        here = ctypes.addressof(block)
        for path, offset in self.built.offsets.items():
            if path in ("task_struct.cred", "task_struct.real_parent"):
                struct.pack_into("<Q", block, offset, here)
        for register, argument in zip(REGISTERS, arguments, strict=False):
            value = _address(argument, kept) & 0xFFFFFFFFFFFFFFFF
            struct.pack_into("<Q", block, self.built.offsets[register], value)
        for path, number in (
            ("task_struct.tgid", task.get("pid", 0)),
            ("cred.uid.val", task.get("uid", 0)),
        ):
            struct.pack_into("<I", block, self.built.offsets[path], number)
        comm = self.built.offsets["task_struct.comm"]
        struct.pack_into("<16s", block, comm, task.get("comm", b""))
        library = self.built.library
        size = ctypes.c_uint64.in_dll(library, "host_size")
        size.value = 0
        library[f"host_exits_{event}"](
            ctypes.c_void_p(here), ctypes.c_void_p(here), ctypes.c_int64(ret)
        )
        if not size.value:
            return None
        record = (ctypes.c_ubyte * (1 << 16)).in_dll(library, "host_record")
        sent = bytes(record[: size.value]) + bytes(-size.value % 8)
        found = self.reader.decode(sent)
        return msgspec.structs.asdict(found[0][0]) if found else None


def _address(argument: int | bytes | list[bytes], kept: list[Any]) -> int:
    if isinstance(argument, int):
        return argument
    if isinstance(argument, bytes):
        buffer = ctypes.create_string_buffer(argument)
    else:
        vector = [_address(element, kept) for element in argument] + [0]
        buffer = ctypes.create_string_buffer(struct.pack(f"<{len(vector)}Q", *vector))
    kept.append(buffer)
    return ctypes.addressof(buffer)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    profile = {
        "options": {"max_string": LIMIT, "max_argv": ARGV_LIMIT},
        "events": {
            "openat": {"filter": "not filename startswith /no"},
            "execve": {"filter": "not argv contains never"},
            "unlink": {},
            "connect": {},
            "pipe": {},
            "writev": {},
            "sendmsg": {"fields": ["addr", "port", "iov_base", "iov_len", "cmsg_type"]},
            "setuid": {"filter": "uid != 7"},
        },
    }
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        built = hostc.build(directory, hostc.plan_of(directory, profile))
        (directory / "decoder.py").write_text(built.python)
        yield Kernel(built, hostc.BothReaders(import_decoder(directory / "decoder.py"), Clock()))


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


@settings(max_examples=60)
@given(texts, texts, st.integers(0, 0o7777), st.integers(-4095, 1 << 20))
def test_names_and_numbers(kernel: Kernel, name: bytes, comm: bytes, mode: int, ret: int) -> None:
    """A name of exactly the limit is whole, a longer one is cut to the limit."""
    event = kernel.call(
        "openat", [-100, name, 0o102, mode], ret, pid=4711, uid=1000, comm=comm[:15]
    )
    if name.startswith(b"/no"):
        assert event is None
        return
    assert event is not None
    assert event["filename"] == _shown(name[:LIMIT])
    assert ("filename" in (event["truncated"] or ())) == (len(name) > LIMIT)
    assert (event["pid"], event["uid"], event["ret"]) == (4711, 1000, ret)
    assert event["comm"] == _shown(comm[:15])
    assert (event["dfd"], event["flags"]) == ("AT_FDCWD", "O_RDWR|O_CREAT")
    assert int(event["mode"], 8) == mode


def test_name_of_which_nothing_can_be_read(kernel: Kernel) -> None:
    """It is missing, so that what compares it is false; the event comes with null."""
    event = kernel.call("openat", [3, FAULT, 0, 0], -14)
    assert event is not None
    assert event["filename"] is None
    assert event["dfd"] == 3


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, 4095])
def test_lengths_around_the_limit(kernel: Kernel, length: int) -> None:
    event = kernel.call("unlink", [b"n" * length], 0)
    assert event is not None
    assert event["filename"] == "n" * min(length, LIMIT)
    assert bool(event["truncated"]) == (length > LIMIT)


def test_filter_on_numbers(kernel: Kernel) -> None:
    assert kernel.call("setuid", [0], 0, uid=7) is None
    event = kernel.call("setuid", [12], -1, uid=8)
    assert event is not None
    assert (event["new_uid"], event["ret"]) == (12, -1)


@settings(max_examples=60)
@given(st.lists(texts, max_size=6))
def test_argument_vectors(kernel: Kernel, argv: list[bytes]) -> None:
    """A failed call shows what was passed, as far as the limit goes."""
    event = kernel.call("execve", [b"/x", argv, 0], -2)
    size = sum(len(argument) + 1 for argument in argv)
    cut = size > ARGV_LIMIT
    if b"never" in argv and not cut:
        assert event is None
        return
    assert event is not None
    assert ("argv" in (event["truncated"] or ())) == cut
    whole = b"".join(argument + b"\0" for argument in argv)[:ARGV_LIMIT]
    expected = whole.removesuffix(b"\0").split(b"\0") if whole else []
    assert event["argv"] == [_shown(argument) for argument in expected]


def test_vector_that_cannot_be_read(kernel: Kernel) -> None:
    event = kernel.call("execve", [b"/x", FAULT, 0], -14)
    assert event is not None
    assert event["argv"] is None
    assert event["filename"] == "/x"


def test_missing_vector_is_empty(kernel: Kernel) -> None:
    event = kernel.call("execve", [b"/x", 0, 0], -2)
    assert event is not None
    assert event["argv"] == []


@pytest.mark.parametrize(
    ("raw", "family", "addr", "port"),
    [
        (b"\x02\0\x00\x16\x0a\x00\x00\x01" + bytes(8), "AF_INET", "10.0.0.1", 22),
        (b"\x0a\0\x01\xbb" + bytes(4) + bytes(15) + b"\x01" + bytes(4), "AF_INET6", "::1", 443),
        (b"\x02\0\x00", "AF_INET", None, None),
        (b"\x02", None, None, None),
        (b"", None, None, None),
        (b"\x01\0/run/s", "AF_UNIX", None, None),
    ],
)
def test_socket_addresses(
    kernel: Kernel, raw: bytes, family: str | None, addr: str | None, port: int | None
) -> None:
    event = kernel.call("connect", [3, raw, len(raw)], -111)
    assert event is not None
    assert (event["family"], event["addr"], event["port"]) == (family, addr, port)


@pytest.mark.parametrize(("length", "cut"), [(128, False), (129, True), (-1, False)])
def test_length_of_a_socket_address_is_the_callers(kernel: Kernel, length: int, cut: bool) -> None:
    """The kernel refuses longer ones; no length makes the program read more."""
    event = kernel.call("connect", [3, b"\x01\0" + b"p" * 300, length], -22)
    assert event is not None
    assert bool(event["truncated"]) == cut
    assert event["sun_path"] == (None if length < 0 else "p" * 126)


@pytest.mark.parametrize(("ret", "expected"), [(0, (7, -2)), (-24, (None, None))])
def test_what_a_call_leaves_is_there_after_success(
    kernel: Kernel, ret: int, expected: tuple[int | None, int | None]
) -> None:
    event = kernel.call("pipe", [struct.pack("<ii", 7, -2)], ret)
    assert event is not None
    assert (event["fd0"], event["fd1"]) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 1024, 1 << 40, (1 << 64) - 1])
def test_lists_of_buffers(kernel: Kernel, count: int) -> None:
    """The length of all is known of a list of at most 64; longer ones are cut."""
    entries = b"".join(struct.pack("<QQ", 0x1000 + n, n) for n in range(300))
    event = kernel.call("writev", [1, entries, count], -14)
    assert event is not None
    assert event["iov_base"] == ("0x1000" if count else None)
    assert event["iov_len"] == (sum(range(count)) if count <= 64 else None)
    assert event["truncated"] == (("vec",) if count > 64 else None)


@pytest.mark.parametrize("vector", [0, FAULT])
def test_list_of_buffers_that_cannot_be_read(kernel: Kernel, vector: int) -> None:
    event = kernel.call("writev", [1, vector, 1], -14)
    assert event is not None
    assert (event["iov_base"], event["iov_len"]) == (None, None)


def test_values_behind_a_structure(kernel: Kernel) -> None:
    """Each pointer of a message leads to something of its own."""
    name = ctypes.create_string_buffer(b"\x02\0\x00\x16\x0a\x00\x00\x01" + bytes(8))
    vector = ctypes.create_string_buffer(struct.pack("<QQQQ", 0xABC, 5, 0, 7))
    control = ctypes.create_string_buffer(struct.pack("<Qii", 20, 1, 1))
    message = struct.pack(
        "<QIIQQQQI4x",
        *(ctypes.addressof(name), 16, 0, ctypes.addressof(vector), 2),
        *(ctypes.addressof(control), 16, 0),
    )
    event = kernel.call("sendmsg", [3, message, 0], 12)
    assert event is not None
    assert (event["addr"], event["port"]) == ("10.0.0.1", 22)
    assert (event["iov_base"], event["iov_len"]) == ("0xabc", 12)
    assert event["cmsg_type"] == "SCM_RIGHTS"


def test_message_that_cannot_be_read(kernel: Kernel) -> None:
    event = kernel.call("sendmsg", [3, FAULT, 0], -14)
    assert event is not None
    assert {event[name] for name in ("addr", "port", "iov_base", "iov_len", "cmsg_type")} == {None}
