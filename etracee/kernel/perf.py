"""Attach programs to tracepoints, which the kernel does through events of perf.

Layouts and numbers are those of include/uapi/linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from pathlib import Path

_SYSCALL = {"x86_64": 298, "aarch64": 241}.get(platform.machine(), 0)
_TYPE_TRACEPOINT = 2
_SAMPLE_RAW = 1 << 10
_CLOSE_ON_EXEC = 1 << 3
_ENABLE, _SET_BPF = 0x2400, 0x40042408
_ATTR = struct.Struct("<IIQQQQQIIQ")
"""`struct perf_event_attr` up to PERF_ATTR_SIZE_VER0: type, size, config, period, what is sampled,
how it is read, flags, events to a wake-up."""

_libc = ctypes.CDLL(None, use_errno=True)


def attach_tracepoint(tracefs: Path, name: str, program: int) -> int:
    """Let `program` run at a tracepoint, `group:name`; closing what is returned detaches it.

    OSError with the kernel's errno. The event is of one processor, the program runs on all: it
    hangs on the tracepoint itself (perf_event_attach_bpf_prog, kernel/trace/bpf_trace.c).
    """
    number = int((tracefs / "events" / name.replace(":", "/") / "id").read_text())
    attr = _ATTR.pack(_TYPE_TRACEPOINT, _ATTR.size, number, 1, _SAMPLE_RAW, 0, 0, 1, 0, 0)
    event = _libc.syscall(_SYSCALL, attr, -1, 0, -1, ctypes.c_ulong(_CLOSE_ON_EXEC))
    if event < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        fcntl.ioctl(event, _SET_BPF, program)
        fcntl.ioctl(event, _ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return int(event)
