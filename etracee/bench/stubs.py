"""Programs like those that templates/bpf/hook attaches to calls, without any event behind them.

What they cost is what a call pays for being hooked. They are assembled, so that no compiler is
needed; that they read the kernel's structures directly needs Linux 5.15.
"""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass

from etracee.catalog.entries import Registers
from etracee.kernel.assembly import (
    RETURN_0,
    add,
    call,
    constant,
    copy,
    finish,
    load_u32,
    load_u64,
    map_of,
    mask,
    skip_if_less,
    skip_if_zero,
    store_u32,
    store_u64,
)
from etracee.kernel.bpf import Map, MapDefinition, create_map, load_program
from etracee.kernel.btf import Btf
from etracee.problems import host_lacks

CALLS = 512
"""Calls that are told apart: those whose number is below this."""
_PROGRAM_ARRAY, _PER_CPU_ARRAY = 3, 6
"""Of enum bpf_map_type."""
_WORK = ("task_struct.thread_info.syscall_work", "task_struct.thread_info.flags")
"""Where a task has what is to be done at its calls: before, and on arm64, among its other flags."""


@dataclass(frozen=True)
class Members:
    """Where this kernel has what the programs read, in bytes from the start of a structure.

    Of a task, what is to be done at its calls, and the mark of 32-bit calls, which has `bits` then;
    among the saved registers, the number of the call.
    """

    work: int
    compat: int
    bits: int
    number: int


def find_members(btf: Btf, registers: Registers) -> Members:
    """Return where they lie; ProblemsError where this kernel does not tell."""
    work = next((at for at in map(btf.offset_of, _WORK) if at is not None), None)
    compat, number = btf.offset_of(registers.compat.member), btf.offset_of(registers.number)
    if work is None or compat is None or number is None:
        paths = ", ".join((*_WORK, registers.compat.member, registers.number))
        raise host_lacks(f"this kernel's BTF lacks one of {paths}", "report the kernel's version")
    return Members(work, compat, registers.compat.bits, number)


@dataclass(frozen=True)
class Stubs:
    """Descriptors of programs: for a tracepoint of one call, and for the two that all calls pass.

    They go on to a program that does nothing, `of_calls` where the call has the number that is
    watched; what the kernel is to do at this thread's calls is what `work` returns.
    """

    of_call: int
    of_calls: int
    work: int


def load_stubs(members: Members, watched: int, stack: contextlib.ExitStack) -> Stubs:
    """Load them; they are let go with `stack`. OSError where the kernel refuses that."""
    one, all_ = (
        _make_slots(kind, slot, stack)
        for kind, slot in (("tracepoint", 0), ("raw_tracepoint", watched))
    )
    of_call = copy(6, 1) + constant(8, 0) + _go_on(one)
    work = call("get_current_task_btf") + load_u32(0, 0, members.work) + finish()
    return Stubs(
        _load("tracepoint", of_call + RETURN_0, stack),
        _load("raw_tracepoint", _find_number(members) + _go_on(all_) + RETURN_0, stack),
        _load("raw_tracepoint", work, stack),
    )


def load_counter(members: Members, stack: contextlib.ExitStack) -> tuple[int, Map]:
    """Return a program for the raw tracepoint sys_enter and what it counts calls in, by number.

    The last element counts those that have no number of their own there: 32-bit calls, and what
    is no call. Both are let go with `stack`.
    """
    descriptor = create_map(MapDefinition("calls", _PER_CPU_ARRAY, 4, 8, CALLS + 1, 0))
    stack.callback(os.close, descriptor)
    count = load_u64(1, 0, 0) + add(1, 1) + store_u64(0, 1, 0)
    code = (
        load_u64(8, 1, 8)  # the second argument of trace_sys_enter()
        + call("get_current_task_btf")
        + load_u32(1, 0, members.compat)
        + mask(1, members.bits)
        + skip_if_zero(1, constant(8, CALLS))
        + skip_if_less(8, CALLS, constant(8, CALLS))
        + store_u32(10, 8, -4)
        + map_of(1, descriptor)
        + copy(2, 10)
        + add(2, -4)
        + call("map_lookup_elem")
        + skip_if_zero(0, count)
        + RETURN_0
    )
    return _load("raw_tracepoint", code, stack), Map.of(descriptor, per_cpu=True)


def _make_slots(kind: str, watched: int, stack: contextlib.ExitStack) -> int:
    """Return a table of programs, with one that does nothing in the slot of what is watched."""
    descriptor = create_map(MapDefinition(f"{kind}s", _PROGRAM_ARRAY, 4, 4, CALLS, 0))
    stack.callback(os.close, descriptor)
    program = struct.pack("<I", _load(kind, RETURN_0, stack))
    Map.of(descriptor).update(struct.pack("<I", watched), program)
    return descriptor


def _load(kind: str, code: bytes, stack: contextlib.ExitStack) -> int:
    program = load_program(kind, code, name="etracee_measure")
    stack.callback(os.close, program)
    return program


def _find_number(members: Members) -> bytes:
    """Return code that leaves the call's number in register 8; of 32-bit calls it is the end."""
    return (
        copy(6, 1)
        + call("get_current_task_btf")
        + copy(7, 0)
        + copy(1, 0)
        + call("task_pt_regs")
        + load_u32(8, 0, members.number)
        + load_u32(1, 7, members.compat)
        + mask(1, members.bits)
        + skip_if_zero(1, RETURN_0)
        + skip_if_less(8, CALLS, RETURN_0)
    )


def _go_on(slots: int) -> bytes:
    """Return code that goes on to the program in the slot of register 8, if there is one."""
    return copy(1, 6) + map_of(2, slots) + copy(3, 8) + call("tail_call")
