"""How many system calls a host makes, counted by the kernel's perf events without any program."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from pathlib import Path

from etracee.kernel.bpf import possible_cpus
from etracee.kernel.probe import find_tracefs

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(platform.machine(), 0)
_TRACEPOINT = 2
"""PERF_TYPE_TRACEPOINT of include/uapi/linux/perf_event.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class CallCounter:
    """Counts the calls that return, of all processes; close() ends that.

    OSError where the kernel has no such tracepoint or does not let us count it.
    """

    def __init__(self) -> None:
        tracefs = find_tracefs()
        if tracefs is None:
            raise FileNotFoundError("tracefs is not mounted")
        number = int((tracefs / "events/raw_syscalls/sys_exit/id").read_text())
        self._descriptors: list[int] = []
        try:
            for cpu in range(possible_cpus()):
                self._count_on(cpu, number)
        except OSError:
            self.close()
            raise

    def _count_on(self, cpu: int, number: int) -> None:
        """Count on one processor; one that is offline makes no calls."""
        if (Path(f"/sys/devices/system/cpu/cpu{cpu}/online").exists()) and not _is_online(cpu):
            return
        attr = struct.pack("<IIQ48x", _TRACEPOINT, 64, number)
        buffer = ctypes.create_string_buffer(attr, len(attr))
        descriptor = _libc.syscall(_PERF_EVENT_OPEN, buffer, -1, cpu, -1, 8)  # close on exec
        if descriptor < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._descriptors.append(int(descriptor))

    def read(self) -> int:
        """Return how many there were since the counter was made."""
        return sum(int.from_bytes(os.read(fd, 8), "little") for fd in self._descriptors)

    def close(self) -> None:
        """Count no more."""
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()


def _is_online(cpu: int) -> bool:
    return Path(f"/sys/devices/system/cpu/cpu{cpu}/online").read_text().strip() == "1"
