"""Compile what etracee renders for the host, to call the kernel's half of it without a kernel."""

from __future__ import annotations

import ctypes
import json
import re
import struct
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from etracee.clock import Clock
from etracee.decoding import Batch, Decoder, Reader
from etracee.encoding import encode_line
from etracee.enrich import Host
from etracee.event import CUT, UNREADABLE, Event, EventLayout
from etracee.fragments import c_ident
from etracee.plan import EventPlan, Plan, Request, make_plan
from etracee.plan.grams import Grams
from etracee.plan.tries import Trie
from etracee.records import Window
from etracee.render import render_program
from etracee.render.cview import view_program
from etracee.render.environment import environment
from etracee.render.program import name_offset
from etracee.resources import bundled
from etracee.source_set import load_source_set

STUBS = Path(__file__).parent / "agree" / "bcc_stubs.h"
"""What BCC and the kernel bring: maps, helpers and contexts."""

HEADER = ("time", "event", "rules")
"""Slots of a record that hold no field."""

ROOM = 1 << 16
"""Bytes of a buffer for a record and what lay in the kernel's scratch space behind it."""

REQUEST = Request()
"""A command line that adds nothing to the profile."""

_GCC = ("gcc", "-std=gnu11", "-O1", "-w", "-fno-strict-aliasing", "-fwrapv", "-fPIC")


@dataclass(frozen=True)
class Built:
    """A plan, its decoder's source and its program for the host."""

    plan: Plan
    c: str
    python: str
    offsets: Mapping[str, int]
    library: ctypes.CDLL
    entries: tuple[object, ...]
    """Those of the tries; the library points to them."""

    def event(self, name: str) -> EventPlan:
        """Return the plan of one event."""
        return next(event for event in self.plan.events if event.name == name)

    def is_wanted(self, event: str, record: bytes) -> bool:
        """Say whether the kernel's tests let a record pass."""
        return self.judge(event, record) is not None

    def judge(self, event: str, record: bytes) -> bytes | None:
        """Return the record as the kernel's tests leave it, None where they reject it."""
        buffer = ctypes.create_string_buffer(record, len(record))
        passed = self.library[f"host_judges_{c_ident(event)}"](buffer)
        return buffer.raw if passed else None


def write_yaml(path: Path, data: object) -> Path:
    """Write data as YAML; JSON is YAML, and escapes what a test may put in."""
    path.write_text(json.dumps(data))
    return path


def plan_of(
    directory: Path,
    profile: Mapping[str, Any],
    *rules: Mapping[str, Any],
    request: Request = REQUEST,
) -> Plan:
    """Return the plan of a profile and rules, by way of their files."""
    file = write_yaml(directory / "profile.yaml", {"name": "test", **profile})
    named = []
    if rules:
        named.append(str(write_yaml(directory / "rules.yaml", {"rules": rules})))
    source = load_source_set(str(file), tuple(named), "x86_64")
    return make_plan(source.profile, source.rules, request, source.catalog)


def build(directory: Path, plan: Plan) -> Built:
    """Render the plan and compile its C for the host."""
    program = render_program(plan)
    offsets = {name: 64 * (1 + index) for index, name in enumerate(program.offsets)}
    library = directory / "program.so"
    text = program.c + _exports(plan, program.c) + judges(plan)
    compile_c(directory, text, offsets, "-shared", "-o", library)
    loaded = ctypes.CDLL(str(library))
    entries = tuple(_fill(loaded, trie) for trie in plan.tries)
    for grams in plan.grams:
        _copy_bitmap(loaded, grams)
    by_path = {program.offsets[name]: offset for name, offset in offsets.items()}
    return Built(plan, program.c, program.python, by_path, loaded, entries)


def check_c(directory: Path, plan: Plan) -> str:
    """Return the rendered C; the host's compiler has taken it."""
    program = render_program(plan)
    offsets = {name: 64 * (1 + index) for index, name in enumerate(program.offsets)}
    compile_c(directory, program.c, offsets, "-fsyntax-only")
    return program.c


def compile_c(directory: Path, text: str, offsets: Mapping[str, int], *how: str | Path) -> None:
    """Give the text to gcc; what it says fails the test."""
    (directory / "program.c").write_text(text)
    lines = (f"#define {name} {offset}\n" for name, offset in offsets.items())
    (directory / "offsets.h").write_text("".join(lines))
    include = directory / "include"
    _copy_headers(bundled("templates") / "bpf" / "include", include)
    words = [*_GCC, "-include", STUBS, f"-I{directory}", f"-I{include}", *how, "program.c"]
    done = subprocess.run(
        [str(word) for word in words], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def reader_of(module: ModuleType, clock: Clock, *, as_lines: bool = False) -> Reader:
    """Return what reads records with one generated module."""
    reader = Reader(clock, Host(), as_lines=as_lines)
    reader.add(0, Decoder(module))
    return reader


class BothReaders:
    """Reads records as events and as lines, and holds the two together."""

    def __init__(self, module: ModuleType, clock: Clock) -> None:
        self.readers = [reader_of(module, clock, as_lines=lines) for lines in (False, True)]

    def read(self, *records: bytes) -> Batch:
        """Return the batch with events; the other one says the same."""
        events, lines = (reader.read(in_ring(*records)) for reader in self.readers)
        assert lines.items == [encode_line(event) for event in events.items]
        assert lines.found == events.found
        return events

    def decode(self, record: bytes) -> list[tuple[Event, list[tuple[int, int]]]]:
        """Return the event of one record, with rule and step of what fired; nothing if rejected.

        An event on which no rule fired is there only if it is delivered.
        """
        batch = self.read(record)
        hits = [(rule, step) for found in batch.found for rule, step, _ in found.fired]
        events = [found.event for found in batch.found] or batch.items
        return [(event, hits) for event in events if isinstance(event, Event)]


_BY_NUMBER = re.compile(r"= \(void \*\)(\d+);")


def _copy_headers(source: Path, to: Path) -> None:
    """Copy the headers; helpers that they call by number become functions of the stubs."""
    for header in source.rglob("*.h"):
        copy = to / header.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_BY_NUMBER.sub(r"= (void *)stub_helper_\1;", header.read_text()))


class _Entries(ctypes.Structure):
    """`struct stub_entries` of the stubs."""

    _fields_ = (
        ("count", ctypes.c_uint64),
        ("keys", ctypes.c_char_p),
        ("values", ctypes.c_char_p),
    )


def _fill(library: ctypes.CDLL, trie: Trie) -> object:
    """Give the stand-in of a trie the entries that the kernel's is given, and return them."""
    filled = _Entries.in_dll(library, f"host_{c_ident(trie.field)}_trie")
    filled.count = len(trie.entries)
    filled.keys = b"".join(trie.encode_key(prefix) for prefix, _ in trie.entries)
    filled.values = b"".join(trie.encode_mask(mask) for _, mask in trie.entries)
    return filled


def _copy_bitmap(library: ctypes.CDLL, grams: Grams) -> None:
    bitmap = grams.encode()
    place = (ctypes.c_char * len(bitmap)).in_dll(library, f"stub_{c_ident(grams.field)}_grams")
    place.raw = bitmap


_JUDGE = """
int host_judges_{{ event.name }}(struct record_{{ event.name }} *r)
{
    struct counts counted = {}, *count = &counted;

{% for step in event.rejections %}
{% include step.template %}
{% endfor %}
    return 1;
}
"""
"""A function that makes the event's tests, in their order, of a record that is whole already."""


def judges(plan: Plan) -> str:
    """Return a function for each event that puts a record to all tests of the kernel's."""
    view = view_program(plan, name_offset)
    template = environment().from_string(_JUDGE)
    return "".join(template.render(event=event) for event in view.events)


def _exports(plan: Plan, text: str) -> str:
    """Return functions that a library exports: for each event its hook."""
    lines = ["\n"]
    for event in plan.events:
        name = c_ident(event.name)
        if f"int {name}_at_exit(" in text:
            lines.append(
                f"int host_exits_{name}(const void *task, const void *regs, s64 ret)\n"
                f"{{ return {name}_at_exit(task, regs, ret); }}\n"
            )
    return "".join(lines)


def zeros(layout: EventLayout) -> dict[str, Any]:
    """Return a value for every field of a record: 0, or an empty text."""
    return {
        slot.name: b"" if slot.storage.variable or slot.storage.array else 0
        for slot in layout.slots
        if slot.name not in HEADER
    }


def in_ring(*records: bytes) -> Window:
    """Return records as they lie in the kernel's ring, all of them finished."""
    headed = (struct.pack("<Q", len(record)) + record for record in records)
    data = b"".join(record + bytes(-len(record) % 8) for record in headed)
    return Window(data + bytes(ROOM), 0, len(data))


def pack(
    layout: EventLayout,
    values: Mapping[str, Any],
    cut: Collection[str] = (),
    garbage: bytes = b"\xa5",
    time: int = 1,
) -> bytes:
    """Return the bytes of a record, with garbage all around its values.

    Numbers are packed as the layout says, and no rule's bit is set; a variable value is bytes, or
    None where it could not be read; the bytes of a fixed text are followed by a NUL and garbage.
    """
    head = bytearray((garbage * (layout.size // len(garbage) + 1))[: layout.size])
    tail = b""
    for slot in layout.slots:
        if slot.storage.variable:
            value = values[slot.name]
            length = UNREADABLE if value is None else len(value) | CUT * (slot.name in cut)
            struct.pack_into("<H", head, slot.offset, length)
        elif slot.storage.code.endswith("s"):
            raw = (values[slot.name] + b"\0" + garbage * slot.size)[: slot.size]
            struct.pack_into(f"<{slot.storage.code}", head, slot.offset, raw)
        else:
            known = {"time": time, "event": layout.index, "rules": 0, **values}
            struct.pack_into(f"<{slot.storage.code}", head, slot.offset, known[slot.name])
    for slot in layout.variable:
        tail += values[slot.name] or b""
    record = bytes(head) + tail
    return record + (garbage * (ROOM // len(garbage)))[: ROOM - len(record)]
