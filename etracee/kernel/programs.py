"""What the kernel knows of programs that are loaded, whoever did that.

Layouts are those of include/uapi/linux/bpf.h. Every function raises OSError with the kernel's
errno.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from etracee.kernel.bpf import Map, call_bpf, read_info

_PROG_NEXT_ID, _PROG_FD_BY_ID, _ENABLE_STATS = 11, 13, 32
_MEMBARRIER = {"x86_64": 324, "aarch64": 283}.get(platform.machine(), 0)
_MEMBARRIER_GLOBAL = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _ProgInfo(ctypes.Structure):
    """`struct bpf_prog_info` up to recursion_misses (Linux 5.12) and verified_insns (5.16)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("jited_prog_len", ctypes.c_uint32),
        ("xlated_prog_len", ctypes.c_uint32),
        ("_numbers", ctypes.c_uint8 * 40),
        ("name", ctypes.c_char * 16),
        ("_between", ctypes.c_uint8 * 112),
        ("run_time_ns", ctypes.c_uint64),
        ("run_cnt", ctypes.c_uint64),
        ("recursion_misses", ctypes.c_uint64),
        ("verified_insns", ctypes.c_uint32),
    )


class _IdAttr(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint32), ("next_id", ctypes.c_uint32), ("flags", ctypes.c_uint32))


class _StatsAttr(ctypes.Structure):
    _fields_ = (("type", ctypes.c_uint32),)


def recursion_misses(fd: int) -> int:
    """Return how often the kernel skipped a program because another one ran on that CPU."""
    info = _ProgInfo()
    read_info(fd, info)
    return int(info.recursion_misses)


@dataclass(frozen=True)
class ProgramInfo:
    """What the kernel knows of a loaded program: its id, its name, which is cut to 15 bytes.

    `kind` is one of the values of PROG_TYPES, or another. `instructions` are those that it has,
    `verified` those that the verifier has followed on all paths, and None before Linux 5.16. `runs`
    and `run_ns` count while statistics are on.
    """

    number: int
    kind: int
    name: str
    instructions: int
    verified: int | None
    runs: int
    run_ns: int


def read_program(fd: int) -> ProgramInfo:
    """Ask the kernel what the program behind `fd` is; run time from Linux 5.1 on."""
    info = _ProgInfo()
    read_info(fd, info)
    return ProgramInfo(
        number=info.id,
        kind=info.type,
        name=info.name.decode(),
        instructions=info.xlated_prog_len // 8,
        verified=info.verified_insns or None,
        runs=info.run_cnt,
        run_ns=info.run_time_ns,
    )


def open_program(number: int) -> int:
    """Return a descriptor of the loaded program with this id."""
    return call_bpf(_PROG_FD_BY_ID, _IdAttr(number))


def read_program_by_id(number: int) -> ProgramInfo:
    """Ask the kernel what the loaded program with this id is."""
    descriptor = open_program(number)
    try:
        return read_program(descriptor)
    finally:
        os.close(descriptor)


def read_program_array(fd: int) -> dict[int, ProgramInfo]:
    """Return the programs in an array of them, by slot: each is read there as its id."""
    slots = Map.of(fd)
    numbers = {slot: slots.lookup(struct.pack("<I", slot)) for slot in range(slots.max_entries)}
    return {
        slot: read_program_by_id(int.from_bytes(number, "little"))
        for slot, number in numbers.items()
        if number is not None
    }


def iterate_programs() -> Iterator[ProgramInfo]:
    """Yield all programs that are loaded, whoever did that; some may come or go meanwhile."""
    attr = _IdAttr()
    while True:
        attr.id = attr.next_id
        try:
            call_bpf(_PROG_NEXT_ID, attr)
            descriptor = open_program(attr.next_id)
        except FileNotFoundError:
            if attr.id == attr.next_id:
                return
            continue  # that one is gone
        try:
            yield read_program(descriptor)
        finally:
            os.close(descriptor)


def enable_statistics() -> int:
    """Let the kernel time all programs until what is returned is closed; since Linux 5.8.

    Each run then costs two readings of the clock more.
    """
    return call_bpf(_ENABLE_STATS, _StatsAttr(0))


def wait_for_programs() -> None:
    """Return when all programs have ended that run now: they are what RCU waits for.

    MEMBARRIER_CMD_GLOBAL of membarrier(2) waits for RCU and does nothing else; a kernel with
    nohz_full refuses it. A program does not sleep, so that a tenth of a second is ample then.
    """
    if _libc.syscall(_MEMBARRIER, _MEMBARRIER_GLOBAL, 0, 0) < 0:
        time.sleep(0.1)
