"""The kernel never drops what Python would keep, and where it claims to be exact, both agree."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import hostc
import pytest
from expressions import Constants, Sample, sample_of, samples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kernel_proof import Proof, Raw, prove
from rule_sets import Written, disagreements, fields_of, written

from etracee.catalog.model import Passed
from etracee.event import CUT, UNREADABLE
from etracee.plan import EventPlan
from etracee.types import Kind

EVENTS = 40
"""Of each type, for each program: a program takes long to compile, an event microseconds."""
NO_SHRINKING = (Phase.explicit, Phase.generate)

pytestmark = pytest.mark.usefixtures("host")


@settings(max_examples=7, phases=NO_SHRINKING)
@given(written(), st.data())
def test_random_rules(rules: Written, data: st.DataObject) -> None:
    check(rules, data)


def test_texts_as_long_as_their_buffers(tmp_path: Path) -> None:
    """One that just fits is whole, one byte more is cut."""
    condition = "filename endswith a or argv contains aaa"
    rule = {"id": "r", "title": "R", "exceptions": [], "events": ["execve"], "condition": condition}
    profile = {"events": {"execve": {}}, "options": {"max_string": 16, "max_argv": 64}}
    rules = Written(profile, [rule], Constants(), alerts_only=False)
    proof = prove(rules.plan(tmp_path), tmp_path)
    (event,) = proof.plan.events
    fields, zeros = fields_of("execve"), hostc.zeros(event.layout)
    names = (b"a" * 15, b"a" * 16)
    vectors = (b"aaa\0" * 15, b"aaa\0" * 15 + b"aa\0", b"aaa\0" * 16, b"b" * 63 + b"\0")
    for name, vector in itertools.product(names, vectors):
        values = {**zeros, "filename": name, "argv": vector}
        full = [key for key in ("filename", "argv") if len(values[key]) in (16, 64)]
        for cut in ([], full):
            raw, sample = in_memory(event, sample_of(fields, values, cut))
            assert compare(rules, proof, event, raw, sample) == []


def check(rules: Written, data: st.DataObject) -> None:
    """Let events happen, and compare what the kernel sends and the decoder finds with Python."""
    wrong = []
    with tempfile.TemporaryDirectory() as made:
        proof = prove(rules.plan(Path(made)), Path(made))
    for event in proof.plan.events:
        for _ in range(EVENTS):
            drawn = data.draw(samples(event.layout, fields_of(event.name), rules.known))
            raw, sample = in_memory(event, drawn)
            wrong += compare(rules, proof, event, raw, sample)
    assert not wrong, min(wrong, key=len)


def compare(rules: Written, proof: Proof, event: EventPlan, raw: Raw, sample: Sample) -> list[str]:
    """Return where kernel and decoder together say otherwise than Python."""
    record = proof.send(event.name, sample.packed, raw)
    wrong = disagreements(rules, event, sample, record)
    if record and (told := captured(event, record)) != lengths_of(event, sample):
        wrong.append(f"{event.name}: the kernel captured {told} of {sample}")
    found = proof.reader.decode(record) if record else []
    keeps, steps = rules.keeps(event.name, sample), rules.steps(event.name, sample)
    fired = {hit for _, hits in found for hit in hits}
    if fired != (steps if keeps else set()):
        wrong.append(f"{event.name}: {fired} fired instead of {steps}, {keeps}: {sample}")
    if bool(found) != (keeps and (event.delivered or bool(steps))):
        wrong.append(f"{event.name}: {found}, of which {steps}, {keeps}: {sample}")
    return wrong


def captured(event: EventPlan, record: bytes) -> dict[str, int]:
    """Return what the record says of the lengths of its values."""
    variable = event.layout.variable
    return {
        s.name: int.from_bytes(record[s.offset : s.offset + s.size], "little") for s in variable
    }


def lengths_of(event: EventPlan, sample: Sample) -> dict[str, int]:
    """Return what it should say."""
    return {
        slot.name: UNREADABLE
        if sample.packed[slot.name] is None
        else len(sample.packed[slot.name]) | CUT * (slot.name in sample.cut)
        for slot in event.layout.variable
    }


def in_memory(event: EventPlan, drawn: Sample) -> tuple[Raw, Sample]:
    """Return what has to lie in user memory, and the sample that capturing makes of it.

    What was cut goes on behind its limit.
    """
    fields = fields_of(event.name)
    raw: dict[str, Any] = {}
    packed, cut = dict(drawn.packed), []
    for slot in event.layout.variable:
        value, field = packed[slot.name], fields[slot.name]
        if not isinstance(field.origin, Passed):
            packed[slot.name] = None
            continue
        if value is None:
            raw[slot.name] = None
            continue
        whole = raw[slot.name] = value + b"x" if slot.name in drawn.cut else value
        if field.kind is Kind.TEXTS:
            raw[slot.name] = whole.removesuffix(b"\0").split(b"\0") if whole else []
            whole = b"".join(element + b"\0" for element in raw[slot.name])
        packed[slot.name] = whole[: slot.limit]
        cut += [slot.name] if len(whole) > slot.limit else []
    return raw, sample_of(fields, packed, cut)
