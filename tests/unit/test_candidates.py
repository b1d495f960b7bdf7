"""Of many rules, those that are looked up are those that would be found one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import hostc
from expressions import Constants, comparable, expressions, samples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rule_sets import CATALOG, Written, fields_of

from etracee.clock import Clock
from etracee.decoding import import_decoder
from etracee.engine.candidates import Index
from etracee.plan import EventPlan
from etracee.render import render_program

EVENTS = {"openat": "path", "execve": "argv", "connect": "sun_path"}
"""Events, each with a field that the kernel cannot compare, so that its rules have no bits."""
MANY = 13
RECORDS = 25


@st.composite
def many_rules(draw: st.DrawFn) -> Written:
    """Return more rules than are tried in a row, over one event."""
    event = draw(st.sampled_from(sorted(EVENTS)))
    known = Constants()
    fields = fields_of(event)
    hidden = {EVENTS[event]: fields[EVENTS[event]]}
    some = {name: f for name, f in fields.items() if name in ("comm", "uid", "filename", "addr")}
    rules = []
    for number in range(draw(st.integers(MANY, 24))):
        text = draw(expressions(hidden, known))
        if draw(st.booleans()):
            text = f"{text} or {draw(expressions(comparable({**hidden, **some}), known))}"
        exceptions: list[dict[str, str]] = []
        about = {"id": f"rule-{number}", "title": "Rule", "exceptions": exceptions}
        rules.append({**about, "events": [event], "condition": text})
    profile = {"events": {"exit": {}}, "options": {"max_string": 16, "max_argv": 64}}
    return Written(profile, rules, known, alerts_only=True)


def _decoder(rules: Written) -> tuple[EventPlan, ModuleType]:
    with tempfile.TemporaryDirectory() as made:
        plan = rules.plan(Path(made))
        path = Path(made) / "decoder.py"
        path.write_text(render_program(plan).python)
        module = import_decoder(path)
    (event,) = plan.events
    return event, module


def _values(event: EventPlan, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Set every bit, so that the kernel leaves all to Python; exact ones would not be looked at."""
    every = (1 << 64) - 1
    exact = sum(1 << m.bit for m in event.matches if m.is_exact and m.bit is not None)
    return {**values, "rules": every & ~exact}


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])
@given(many_rules(), st.data())
def test_rules_that_match_are_found(rules: Written, data: st.DataObject) -> None:
    """Also of cut and missing values, and of bytes that are no text."""
    event, module = _decoder(rules)
    reader = hostc.BothReaders(module, Clock())
    is_indexed = sum(match.bit is None for match in event.matches) >= MANY
    assert hasattr(module, f"TESTS_{event.name}") == is_indexed
    exact = {(match.rule, match.step) for match in event.matches if match.is_exact}
    for _ in range(RECORDS):
        sample = data.draw(samples(event.layout, fields_of(event.name), rules.known))
        record = hostc.pack(event.layout, _values(event, sample.packed), sample.cut)
        fired = [hit for _, hits in reader.decode(record) for hit in hits]
        assert len(fired) == len(set(fired))
        assert set(fired) == rules.steps(event.name, sample) - exact


def test_most_examples_are_indexed() -> None:
    """The property above would say little, were the kernel asked for most rules."""
    condition = "path startswith /etc/ or uid = 0"
    rules = [
        {"id": f"r{n}", "title": "R", "exceptions": [], "events": ["openat"], "condition": c}
        for n, c in enumerate([condition] * MANY)
    ]
    written = Written({"events": {"exit": {}}}, rules, Constants(), alerts_only=True)
    event, module = _decoder(written)
    assert all(match.bit is None for match in event.matches)
    assert hasattr(module, "TESTS_openat")
    assert CATALOG.events["openat"] == event.type


def test_answers_that_a_cut_leaves_open_are_counted() -> None:
    """Also those of rules that no look-up would find."""
    about = {"title": "R", "exceptions": [], "events": ["openat"]}
    rules = [{**about, "id": f"r{n}", "condition": f"path endswith .{n}"} for n in range(MANY)]
    event, module = _decoder(Written({"events": {"exit": {}}}, rules, Constants(), True))
    reader = hostc.reader_of(module, Clock())
    values = {**hostc.zeros(event.layout), "path": b"/x"}
    reader.read(hostc.in_ring(hostc.pack(event.layout, values)))
    assert sum(module.OPEN_ANSWERS) == 0
    reader.read(hostc.in_ring(hostc.pack(event.layout, values, cut=["path"])))
    assert module.OPEN_ANSWERS == [1] * MANY + [0]


@given(st.binary(max_size=40), st.lists(st.binary(min_size=1, max_size=3), max_size=6))
def test_index_finds_keys_and_patterns(value: bytes, needles: list[bytes]) -> None:
    patterns = [
        (b"".join(b"\\x%02x" % byte for byte in needle), (10 + number,))
        for number, needle in enumerate(needles)
    ]
    index = Index({value: (1, 2), value + b"x": (3,)}, patterns)
    wanted = {10 + number for number, needle in enumerate(needles) if needle in value}
    assert set(index.find(value)) == {1, 2} | wanted
    assert set(index.find(None)) == set()
