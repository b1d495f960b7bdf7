"""The maps of another process's program: its counters, its ring, whether it is enabled.

They are found by name among the process's descriptors, and opened by their number, which needs
root as loading them did. Reading them costs the traced program nothing and needs no event.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import platform
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from etracee.kernel.bpf import Map
from etracee.kernel.programs import ProgramInfo, read_program_array, read_program_by_id
from etracee.summary import Counts

_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 0)
_MAP_FD_BY_ID, _OBJ_INFO = 14, 15
_NAMES = ("config", "counts", "events")
"""What the program's maps are called (templates/bpf)."""
_PROGRAM_ARRAY = 3
"""BPF_MAP_TYPE_PROG_ARRAY of enum bpf_map_type: such a map holds functions, whatever its name."""

_libc = ctypes.CDLL(None, use_errno=True)


class TracerMaps:
    """The maps of a running monitor; close() what was opened."""

    def __init__(
        self, descriptors: Mapping[str, int], arrays: Sequence[int], events: Sequence[str]
    ) -> None:
        self._descriptors, self._arrays = descriptors, arrays
        self._events = events
        self._config = Map.of(descriptors["config"])
        self._counts = Map.of(descriptors["counts"], per_cpu=True)
        ring, page = descriptors["events"], mmap.PAGESIZE
        self._consumer = mmap.mmap(ring, page, prot=mmap.PROT_READ)
        self._producer = mmap.mmap(ring, page, prot=mmap.PROT_READ, offset=page)

    @property
    def is_enabled(self) -> bool:
        """Say whether the program lets events in: every hook is attached by then."""
        _, enabled = struct.unpack_from("<II", self._config.lookup(bytes(4)) or bytes(8))
        return bool(enabled)

    @property
    def produced(self) -> int:
        """Return the bytes that the program has ever put into the ring."""
        return memoryview(self._producer).cast("Q")[0]

    @property
    def consumed(self) -> int:
        """Return the bytes that the monitor has ever taken from the ring."""
        return memoryview(self._consumer).cast("Q")[0]

    def read_counts(self) -> dict[str, Counts]:
        """Return the counters by event, added up over the processors."""
        totals = {}
        for index, name in enumerate(self._events):
            raw = self._counts.lookup(struct.pack("<I", index)) or b""
            rows = (Counts(*row) for row in struct.iter_unpack("<4Q", raw))
            totals[name] = sum(rows, Counts())
        return totals

    def read_programs(self) -> list[ProgramInfo]:
        """Return the functions that are called by slot, each once."""
        found = (info for array in self._arrays for info in read_program_array(array).values())
        return list({info.number: info for info in found}.values())

    def close(self) -> None:
        """Let go of the maps."""
        self._consumer.close()
        self._producer.close()
        for descriptor in (*self._descriptors.values(), *self._arrays):
            os.close(descriptor)


def find_maps(pid: int, events: Sequence[str]) -> TracerMaps | None:
    """Return the maps that the process `pid` holds, or None while it does not hold all of them."""
    found: dict[str, int] = {}
    arrays: list[int] = []
    for text in _read_descriptors(pid):
        number = re.search(r"^map_id:\s*(\d+)$", text, re.MULTILINE)
        descriptor = _open_map(int(number[1])) if number else None
        if descriptor is None:
            continue
        kind, name = _identify(descriptor)
        if kind == _PROGRAM_ARRAY:
            arrays.append(descriptor)
        elif name in _NAMES and name not in found:
            found[name] = descriptor
        else:
            os.close(descriptor)
    if found.keys() >= set(_NAMES):
        return TracerMaps(found, arrays, events)
    for descriptor in (*found.values(), *arrays):
        os.close(descriptor)
    return None


def read_attached(pid: int) -> list[ProgramInfo]:
    """Return the programs whose descriptors the process `pid` holds: what is attached."""
    pattern = re.compile(r"^prog_id:\s*(\d+)$", re.MULTILINE)
    numbers = [m[1] for text in _read_descriptors(pid) if (m := pattern.search(text))]
    return [read_program_by_id(int(number)) for number in dict.fromkeys(numbers)]


def count_not_run(pid: int) -> int:
    """Return how often the kernel left out a program of `pid` because another one ran."""
    pattern = re.compile(r"^recursion_misses:\s*(\d+)$", re.MULTILINE)
    found = (pattern.search(text) for text in _read_descriptors(pid))
    return sum(int(match[1]) for match in found if match)


def _read_descriptors(pid: int) -> Iterator[str]:
    """Yield what the kernel says of each descriptor of a process."""
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                yield path.read_text()


def _open_map(number: int) -> int | None:
    attr = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 12)
    descriptor = _libc.syscall(_SYSCALL, _MAP_FD_BY_ID, attr, len(attr))
    return int(descriptor) if descriptor >= 0 else None


def _identify(descriptor: int) -> tuple[int, str]:
    """Return a map's type and name: of `struct bpf_map_info`, a number, and 16 bytes after six."""
    info = ctypes.create_string_buffer(40)
    attr = struct.pack("<IIQ", descriptor, len(info), ctypes.addressof(info))
    if _libc.syscall(_SYSCALL, _OBJ_INFO, ctypes.create_string_buffer(attr, len(attr)), len(attr)):
        return 0, ""
    return struct.unpack_from("<I", info)[0], info.raw[24:].split(b"\0")[0].decode()
