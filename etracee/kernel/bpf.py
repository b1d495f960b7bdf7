"""The bpf(2) system call, as far as the monitor and the probes need it without BCC.

Layouts are those of `union bpf_attr` in include/uapi/linux/bpf.h. Every function raises OSError
with the kernel's errno.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 0)

_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY = 0, 1, 2, 3, 4
_MAP_LOOKUP_BATCH, _MAP_DELETE_BATCH = 24, 27
_PROG_LOAD, _TEST_RUN, _OBJ_INFO, _RAW_TRACEPOINT_OPEN = 5, 10, 15, 17
_BATCH = 4096
"""Elements that one call reads; more than any bucket of a hash holds."""

PROG_TYPES = {
    "kprobe": 2,
    "tracepoint": 5,
    "raw_tracepoint": 17,
    "fentry": 26,
    "fexit": 26,
    "lsm": 29,
}
"""enum bpf_prog_type, by kind of program."""
ATTACH_TYPES = {"fentry": 24, "fexit": 25, "lsm": 27}
"""enum bpf_attach_type, of the kinds that are loaded for one function of the kernel's."""

_libc = ctypes.CDLL(None, use_errno=True)


class _MapAttr(ctypes.Structure):
    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("_pad", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class _BatchAttr(ctypes.Structure):
    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("map_fd", ctypes.c_uint32),
        ("elem_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class _InfoAttr(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("info_len", ctypes.c_uint32),
        ("info", ctypes.c_uint64),
    )


class _LoadAttr(ctypes.Structure):
    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("func_info", ctypes.c_uint64),
        ("func_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_uint64),
        ("line_info_cnt", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
    )


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("numa_node", ctypes.c_uint32),
        ("map_name", ctypes.c_char * 16),
    )


class _RawTracepointAttr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_uint64),
        ("prog_fd", ctypes.c_uint32),
        ("_pad", ctypes.c_uint32),
    )


class _TestRunAttr(ctypes.Structure):
    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("_data_sizes", ctypes.c_uint32 * 2),
        ("_data", ctypes.c_uint64 * 2),
        ("_repeat_and_duration", ctypes.c_uint32 * 2),
        ("_context_sizes", ctypes.c_uint32 * 2),
        ("_contexts", ctypes.c_uint64 * 2),
        ("_flags_and_cpu", ctypes.c_uint32 * 2),
    )


class _MapInfo(ctypes.Structure):
    """`struct bpf_map_info`, its beginning."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    )


def call_bpf(command: int, attr: ctypes.Structure) -> int:
    """Make the call, a `BPF_…` command with its part of `union bpf_attr`, and return its result."""
    result = _libc.syscall(_SYSCALL, command, ctypes.byref(attr), ctypes.sizeof(attr))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def read_info(fd: int, info: ctypes.Structure) -> None:
    """Let the kernel fill `info` with what it knows of the object behind `fd`."""
    call_bpf(_OBJ_INFO, _InfoAttr(fd, ctypes.sizeof(info), ctypes.addressof(info)))


def possible_cpus() -> int:
    """Return the number of processors for which per-CPU maps hold a value."""
    ranges = Path("/sys/devices/system/cpu/possible").read_text().strip().split(",")
    return 1 + max(int(part.rpartition("-")[2]) for part in ranges)


class MapDefinition(NamedTuple):
    """What a map is made of; sizes in bytes. The kernel keeps 15 bytes of the name."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


def read_definition(name: str, fd: int) -> MapDefinition:
    """Return how a map like the one behind `fd` is made."""
    info = _MapInfo()
    read_info(fd, info)
    sizes = info.key_size, info.value_size, info.max_entries
    return MapDefinition(name, info.type, *sizes, info.map_flags)


_LRU_HASH = 9
"""BPF_MAP_TYPE_LRU_HASH."""
_LRU_HELD, _LRU_USED = 128, 512


def fit_lru(wanted: int, cpus: int) -> int:
    """Return the entries that an LRU map needs so that it keeps some, and at least `wanted`.

    Before Linux 6.16 each possible processor may hold 128 that nobody uses (LOCAL_FREE_TARGET,
    kernel/bpf/bpf_lru_list.c), and when all are held, those in use are evicted, however few they
    are. So there are as many, and 512 that can be used.
    """
    return max(wanted, _LRU_USED + _LRU_HELD * cpus)


def create_map(definition: MapDefinition) -> int:
    """Make a map, an LRU map as large as this host needs it, and return its descriptor.

    Kernels before 5.11 count it against RLIMIT_MEMLOCK, and say EPERM.
    """
    is_lru, entries = definition.type == _LRU_HASH, definition.max_entries
    attr = _CreateAttr(
        map_type=definition.type,
        key_size=definition.key_size,
        value_size=definition.value_size,
        max_entries=fit_lru(entries, possible_cpus()) if is_lru else entries,
        map_flags=definition.flags,
        map_name=definition.name.encode()[:15],
    )
    try:
        return call_bpf(_MAP_CREATE, attr)
    except PermissionError:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
        return call_bpf(_MAP_CREATE, attr)


@dataclass(frozen=True)
class Map:
    """A map, by its descriptor. Sizes in bytes; `copies` is above 1 for a per-CPU map."""

    fd: int
    key_size: int
    value_size: int
    max_entries: int
    copies: int

    @classmethod
    def of(cls, fd: int, *, per_cpu: bool = False) -> Map:
        """Ask the kernel what the map behind `fd` is."""
        info = _MapInfo()
        read_info(fd, info)
        copies = possible_cpus() if per_cpu else 1
        return cls(fd, info.key_size, info.value_size, info.max_entries, copies)

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value, of a per-CPU map all of them, each padded to 8 bytes; None if none."""
        value = ctypes.create_string_buffer(self._read_size)
        try:
            self._call(_MAP_LOOKUP, key, value)
        except FileNotFoundError:
            return None
        return value.raw

    @property
    def _read_size(self) -> int:
        """Return the bytes of a value as it is read."""
        return self.value_size if self.copies == 1 else -(-self.value_size // 8) * 8 * self.copies

    def read_all(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values, as lookup() returns them, of a hash; since Linux 5.6.

        The kernel reads bucket by bucket, each in one piece: what is there all the while is found
        once (__htab_map_lookup_and_delete_batch, kernel/bpf/hashtab.c).
        """
        size = self._read_size
        keys = ctypes.create_string_buffer(_BATCH * self.key_size)
        values = ctypes.create_string_buffer(_BATCH * size)
        at = ctypes.create_string_buffer(4)
        attr = _BatchAttr(
            out_batch=ctypes.addressof(at),
            keys=ctypes.addressof(keys),
            values=ctypes.addressof(values),
            map_fd=self.fd,
        )
        is_done = False
        while not is_done:
            attr.count = _BATCH
            try:
                call_bpf(_MAP_LOOKUP_BATCH, attr)
            except FileNotFoundError:
                is_done = True
            attr.in_batch = attr.out_batch
            found_keys, found = keys.raw, values.raw
            for i in range(attr.count):
                key = found_keys[i * self.key_size : (i + 1) * self.key_size]
                yield key, found[i * size : (i + 1) * size]

    def read_array(self) -> list[bytes]:
        """Return the values of an array in their order, each as lookup() returns it.

        That is one call; of a per-CPU array since Linux 5.13, and one for each value before.
        """
        size = self._read_size
        keys = ctypes.create_string_buffer(self.max_entries * self.key_size)
        values = ctypes.create_string_buffer(self.max_entries * size)
        last = ctypes.create_string_buffer(self.key_size)
        attr = _BatchAttr(
            out_batch=ctypes.addressof(last),
            keys=ctypes.addressof(keys),
            values=ctypes.addressof(values),
            count=self.max_entries,
            map_fd=self.fd,
        )
        try:
            call_bpf(_MAP_LOOKUP_BATCH, attr)
        except OSError:
            indexes = (struct.pack("<I", index) for index in range(self.max_entries))
            return [self.lookup(index) or bytes(size) for index in indexes]
        found = values.raw
        return [found[at : at + size] for at in range(0, len(found), size)]

    def delete_all(self, keys: Sequence[bytes]) -> None:
        """Remove `keys`, all of which must be there, from a hash; since Linux 5.6."""
        joined = b"".join(keys)
        buffer = ctypes.create_string_buffer(joined, len(joined))
        attr = _BatchAttr(keys=ctypes.addressof(buffer), count=len(keys), map_fd=self.fd)
        if keys:
            call_bpf(_MAP_DELETE_BATCH, attr)

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value of `key`."""
        self._call(_MAP_UPDATE, key, ctypes.create_string_buffer(value, len(value)))

    def delete(self, key: bytes) -> None:
        """Remove `key`, which must be there."""
        self._call(_MAP_DELETE, key)

    def iterate_keys(self) -> Iterator[bytes]:
        """Yield the keys; ones that come or go meanwhile may be missed or repeated."""
        following = ctypes.create_string_buffer(self.key_size)
        key: bytes | None = None
        while True:
            try:
                self._call(_MAP_NEXT_KEY, key, following)
            except FileNotFoundError:
                return
            key = following.raw
            yield key

    def _call(
        self, command: int, key: bytes | None, value: ctypes.Array[ctypes.c_char] | None = None
    ) -> None:
        buffer = ctypes.create_string_buffer(key, len(key)) if key is not None else None
        addresses = [ctypes.addressof(part) if part is not None else 0 for part in (buffer, value)]
        call_bpf(command, _MapAttr(self.fd, 0, *addresses, 0))


def load_program(
    kind: str,
    instructions: bytes,
    target: int = 0,
    *,
    name: str = "",
    log: ctypes.Array[ctypes.c_char] | None = None,
) -> int:
    """Load a program of `kind`, a key of PROG_TYPES, and return its descriptor.

    `target` is the BTF id of the function that one of ATTACH_TYPES is for. The kernel keeps 15
    bytes of the name. What its verifier says goes to `log`, where there is one.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_ = ctypes.create_string_buffer(b"GPL")
    attr = _LoadAttr(
        prog_type=PROG_TYPES[kind],
        insn_cnt=len(instructions) // 8,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(license_),
        log_level=1 if log else 0,
        log_size=len(log) if log else 0,
        log_buf=ctypes.addressof(log) if log else 0,
        prog_name=name.encode()[:15],
        expected_attach_type=ATTACH_TYPES.get(kind, 0),
        attach_btf_id=target,
    )
    return call_bpf(_PROG_LOAD, attr)


def attach_raw_tracepoint(name: str, program: int) -> int:
    """Let `program` run at a raw tracepoint; closing what is returned detaches it."""
    text = ctypes.create_string_buffer(name.encode())
    return call_bpf(_RAW_TRACEPOINT_OPEN, _RawTracepointAttr(ctypes.addressof(text), program))


def attach_function(program: int) -> int:
    """Let a fentry or fexit program run at its function; closing what is returned detaches it.

    Since Linux 5.5, by the call for raw tracepoints without a name (bpf_raw_tracepoint_open(),
    kernel/bpf/syscall.c).
    """
    return call_bpf(_RAW_TRACEPOINT_OPEN, _RawTracepointAttr(0, program))


def run_program(program: int) -> int:
    """Run a program for a raw tracepoint that reads no arguments, in this thread; since Linux 5.10.

    Returns the 32 bits that it returns.
    """
    attr = _TestRunAttr(prog_fd=program)
    call_bpf(_TEST_RUN, attr)
    return int(attr.retval)
