"""Rendered tests, captures and look-ups in the kernel at hand, run on records that a test prepares.

The kernel runs raw tracepoints on demand (BPF_PROG_TEST_RUN): one for each event takes numbers from
a prepared record instead of a task, and reads strings and addresses from this process. All behind
that is what a hook's function has: captures, tests and look-ups in their order, and the ring.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hostc

from etracee.clock import Clock
from etracee.decoding import import_decoder
from etracee.event import EventLayout
from etracee.fragments import C, c, c_ident
from etracee.kernel import bpf
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import render_offsets
from etracee.plan import Hook, Plan
from etracee.records import HEADER
from etracee.render import render_program
from etracee.render.cview import view_program
from etracee.render.environment import environment
from etracee.render.program import name_offset
from etracee.render.views import EventView, Step
from etracee.runtime.clang import OFFSETS, PROGRAM, compile_image
from etracee.runtime.load import load_image
from etracee.runtime.loaded import Running
from etracee.runtime.ring import Ring

UNMAPPED = 8
"""An address that no process has."""
MOST_GIVEN = 8

_TEST_RUN = 10
"""BPF_PROG_TEST_RUN, include/uapi/linux/bpf.h."""

_RUN = """

int {{ function }}(struct bpf_raw_tracepoint_args *ctx)
{
    int index = {{ event.index }}, zero = 0;
    struct counts *count = counts.lookup(&index);
    struct record_{{ event.name }} *r = (void *)scratch.lookup(&zero);
    struct {
        u64 from[{{ most }}], length[{{ most }}];
    } given = {};
    const void *task = current_task();
    u32 used = 0;

    if (!count || !r || read_user(&given, sizeof(given), (const void *)ctx->args[0])
        || read_user(r, {{ event.size }}, (const void *)ctx->args[1]))
        return -1;
{% include 'captures.c.j2' %}
{% include 'send.c.j2' %}
}
"""

Raw = Mapping[str, "bytes | list[bytes] | None"]
"""What lies in user memory: bytes, a vector of them, or nothing that can be read."""


class _RunAttr(ctypes.Structure):
    """`struct { /* anonymous struct used by BPF_PROG_TEST_RUN command */ }` of union bpf_attr."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("data_in", ctypes.c_uint64),
        ("data_out", ctypes.c_uint64),
        ("repeat", ctypes.c_uint32),
        ("duration", ctypes.c_uint32),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class Proof:
    """A program in the kernel, and what reads the records that it sends."""

    plan: Plan
    programs: Mapping[str, int]
    ring: Ring
    reader: hostc.BothReaders

    def send(self, event: str, values: Mapping[str, Any], raw: Raw) -> bytes | None:
        """Let the event happen; return the record that the kernel sent, None if it did not."""
        layout = next(e.layout for e in self.plan.events if e.name == event)
        empty = {slot.name: b"" for slot in layout.variable}
        numbers = hostc.pack(layout, {**values, **empty})[: layout.size]
        kept: list[Any] = []
        given = [_place(value, kept) for value in raw.values()]
        padding = [0] * (MOST_GIVEN - len(given))
        addresses = [address for address, _ in given] + padding
        lengths = [length for _, length in given] + padding
        block = ctypes.create_string_buffer(struct.pack("<16Q", *addresses, *lengths))
        record = ctypes.create_string_buffer(numbers, len(numbers))
        run_program(self.programs[event], ctypes.addressof(block), ctypes.addressof(record))
        records = list(self.ring.take_all())
        assert len(records) <= 1
        return records[0][HEADER:] if records else None


def prove(plan: Plan, directory: Path) -> Proof:
    """Compile and load the plan's program, attached to nothing."""
    program = render_program(plan)
    view = view_program(plan, name_offset)
    layouts = {c_ident(event.name): event.layout for event in plan.events}
    (directory / OFFSETS).write_text(render_offsets(Btf(), program.offsets))
    (directory / "decoder.py").write_text(program.python)
    hooks = {e.name: Hook("raw_tracepoint", "", str(_name(e.name)), 0) for e in plan.events}
    attached = frozenset(hook.stub for hook in hooks.values())
    functions = [_function(e, layouts[e.name]) for e in view.events]
    functions += [f"int {stub}(void *ctx) {{ return 0; }}\n" for stub in attached]
    (directory / PROGRAM).write_text(program.c + "".join(functions))
    running = Running(0, {}, attached, plan.attach, plan.typed_loads)
    plan_of_calls = replace(plan, hooks=tuple(hooks.values()))
    image = compile_image(plan_of_calls, directory, program.python, (), ())
    loaded = load_image(image, running, os.getpid())
    return Proof(
        plan=plan,
        programs={name: loaded.programs[hook.function] for name, hook in hooks.items()},
        ring=Ring(loaded.maps["events"], plan.options.ring_buffer),
        reader=hostc.BothReaders(import_decoder(directory / "decoder.py"), Clock()),
    )


def run_program(fd: int, *arguments: int) -> None:
    """Run a raw tracepoint's program once, in this process; OSError if the kernel does not."""
    context = (ctypes.c_uint64 * 2)(*arguments)
    attr = _RunAttr(
        prog_fd=fd, ctx_size_in=ctypes.sizeof(context), ctx_in=ctypes.addressof(context)
    )
    bpf.call_bpf(_TEST_RUN, attr)
    assert attr.retval == 0, "the program could not read what it was given"


def _name(event: str) -> C:
    return c("proof_{event}", event=c_ident(event))


def _function(event: EventView, layout: EventLayout) -> str:
    places = {slot.name: index for index, slot in enumerate(event.variable)}
    variable = {c_ident(slot.name) for slot in layout.variable}
    captured = (step for step in event.steps if step.test or step.name in variable)
    steps = tuple(_given(step, places) for step in captured)
    template = environment().from_string(_RUN)
    return template.render(
        event=replace(event, steps=steps), function=_name(event.name), most=MOST_GIVEN
    )


_GIVEN = tuple(f"capture/{name}.c.j2" for name in ("string", "strings", "bytes", "returned_bytes"))
"""What reads the memory of the process. The prepared record has all values of fixed size."""


def _given(step: Step, places: Mapping[C, int]) -> Step:
    """Let a capture read from where the test has put the value; what the kernel has is missing."""
    if step.test:
        return step
    if step.template not in _GIVEN:
        return Step("capture/unreadable.c.j2", step.name)
    place = places[step.name]
    return replace(
        step,
        value=c("given.from[{n}]", n=place),
        length=c("given.length[{n}]", n=place),
    )


def _place(value: bytes | list[bytes] | None, kept: list[Any]) -> tuple[int, int]:
    """Return address and length of a value in memory."""
    if value is None:
        return UNMAPPED, 16
    if isinstance(value, list):
        addresses = [_place(element, kept)[0] for element in value]
        content = struct.pack(f"<{len(value) + 1}Q", *addresses, 0)
        length = len(content)
    else:
        content, length = value + b"\0", len(value)
    kept.append(ctypes.create_string_buffer(content, len(content)))
    return ctypes.addressof(kept[-1]), length
