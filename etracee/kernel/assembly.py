"""Instructions of programs that are too small for a compiler: include/uapi/linux/bpf.h.

Registers are numbers, of which 1 has the context at the start, 0 what a helper returns and the
program's result, 10 the end of the stack. Helpers keep 6 to 9 and take 1 to 5.
"""

from __future__ import annotations

import struct

HELPERS = {
    "map_lookup_elem": 1,
    "tail_call": 12,
    "get_current_task_btf": 158,
    "task_pt_regs": 175,
}
"""Numbers of helpers."""
_MAP_FD = 1
"""BPF_PSEUDO_MAP_FD: the constant is a map's descriptor."""


def instruction(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """Return one instruction; jumps go `offset` instructions on from the next."""
    return struct.pack("<BBhi", code, source << 4 | to, offset, value)


def copy(to: int, source: int) -> bytes:
    """Return: to = source."""
    return instruction(0xBF, to, source)


def constant(to: int, value: int) -> bytes:
    """Return: to = value."""
    return instruction(0xB7, to, value=value)


def load_u32(to: int, source: int, offset: int) -> bytes:
    """Return: to = *(u32 *)(source + offset)."""
    return instruction(0x61, to, source, offset)


def load_u64(to: int, source: int, offset: int) -> bytes:
    """Return: to = *(u64 *)(source + offset)."""
    return instruction(0x79, to, source, offset)


def store_u32(to: int, source: int, offset: int) -> bytes:
    """Return: *(u32 *)(to + offset) = source."""
    return instruction(0x63, to, source, offset)


def store_u64(to: int, source: int, offset: int) -> bytes:
    """Return: *(u64 *)(to + offset) = source."""
    return instruction(0x7B, to, source, offset)


def add(to: int, value: int) -> bytes:
    """Return: to += value."""
    return instruction(0x07, to, value=value)


def mask(to: int, bits: int) -> bytes:
    """Return: to &= bits."""
    return instruction(0x57, to, value=bits)


def skip_if_zero(register: int, then: bytes) -> bytes:
    """Return what does `then` unless a register is 0."""
    return instruction(0x15, register, offset=len(then) // 8) + then


def skip_if_less(register: int, value: int, then: bytes) -> bytes:
    """Return what does `then` unless a register is below `value`."""
    return instruction(0xA5, register, offset=len(then) // 8, value=value) + then


def map_of(to: int, descriptor: int) -> bytes:
    """Return what gives the map behind a descriptor to a register; two instructions long."""
    return instruction(0x18, to, _MAP_FD, value=descriptor) + instruction(0)


def call(helper: str) -> bytes:
    """Return the call of a helper, a key of HELPERS."""
    return instruction(0x85, value=HELPERS[helper])


def finish() -> bytes:
    """Return the end of a program, whose result is in register 0."""
    return instruction(0x95)


RETURN_0 = constant(0, 0) + finish()
"""The end of a program, or one that does nothing: r0 = 0; exit."""
