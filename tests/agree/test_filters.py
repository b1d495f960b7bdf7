"""The kernel's form of filters and rules against Python's, over random expressions and records."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hostc
from expressions import Constants, comparable, expressions, samples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rule_sets import EVENTS, answer, fields_of

from etracee.clock import Clock
from etracee.decoding import import_decoder
from etracee.expr.tree import YES

AT_ONCE = 6
"""Events of one compilation: each run of gcc answers for as many expressions."""
RECORDS = 6
NO_SHRINKING = (Phase.explicit, Phase.generate)
"""Each example costs a run of gcc; of what disagrees the shortest is told instead."""

garbage = st.sampled_from([b"\0", b"\xa5", b"ab/", b"\xff", b"a"])


def reader_of(built: hostc.Built, directory: Path) -> hostc.BothReaders:
    path = directory / "decoder.py"
    path.write_text(built.python)
    return hostc.BothReaders(import_decoder(path), Clock())


@settings(max_examples=12, phases=NO_SHRINKING)
@given(st.data())
def test_filter(data: st.DataObject) -> None:
    """The kernel lets pass at least what is wanted, and with the decoder exactly that."""
    names = data.draw(st.permutations(EVENTS))[:AT_ONCE]
    known = {name: Constants() for name in names}
    texts = {
        name: data.draw(expressions(comparable(fields_of(name)), known[name])) for name in names
    }
    limit = data.draw(st.sampled_from([16, 64, 256]))
    profile = {
        "events": {name: {"filter": texts[name]} for name in names},
        "options": {"max_string": limit, "max_argv": max(64, limit)},
    }
    wrong = []
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        built = hostc.build(directory, hostc.plan_of(directory, profile))
        reader = reader_of(built, directory)
    for name in names:
        event = built.event(name)
        for _ in range(RECORDS):
            sample = data.draw(samples(event.layout, fields_of(name), known[name]))
            record = hostc.pack(event.layout, sample.packed, sample.cut, data.draw(garbage))
            wanted = answer(texts[name], name, sample)
            judged = built.judge(name, record)
            passed = judged is not None
            kept = bool(judged and reader.decode(judged))
            if passed < wanted or (event.keep == YES and passed != wanted):
                wrong.append(f"{name}: {texts[name]}\n  kernel {passed}, Python {wanted}: {sample}")
            if kept != wanted:
                wrong.append(f"{name}: {texts[name]}\n  decoder {kept}, Python {wanted}: {sample}")
    assert not wrong, min(wrong, key=len)


@settings(max_examples=7, phases=NO_SHRINKING)
@given(st.data())
def test_rules_bound_what_is_sent_for_them(data: st.DataObject) -> None:
    """An event that only rules asked for is sent at least when one fires, and says which did."""
    names = data.draw(st.permutations(EVENTS))[:AT_ONCE]
    known = {name: Constants() for name in names}
    rules = []
    for name in names:
        for number in range(data.draw(st.integers(1, 3))):
            text = data.draw(expressions(comparable(fields_of(name)), known[name]))
            rules.append(
                {"id": f"{name}-{number}", "title": "Rule", "events": [name], "condition": text}
            )
    bound = data.draw(st.sampled_from(["uid = 0", "not comm startswith a", "tid exists"]))
    watched = data.draw(st.sampled_from(EVENTS))
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        plan = hostc.plan_of(directory, {"filter": bound, "events": {watched: {}}}, *rules)
        built = hostc.build(directory, plan)
        reader = reader_of(built, directory)
    wrong = []
    for name in names:
        layout, fields = built.event(name).layout, fields_of(name)
        for _ in range(RECORDS):
            sample = data.draw(samples(layout, fields, known[name]))
            record = hostc.pack(layout, sample.packed, sample.cut, data.draw(garbage))
            in_bounds = answer(bound, name, sample)
            firing = [
                index
                for index, rule in enumerate(rules)
                if rule["events"] == [name] and answer(str(rule["condition"]), name, sample)
            ]
            judged = built.judge(name, record)
            wanted = in_bounds and (bool(firing) or name == watched)
            if wanted and judged is None:
                wrong.append(f"{name}: the kernel drops what {firing} of {rules} want: {sample}")
            decoded = reader.decode(judged) if judged else []
            fired = [rule for _, hits in decoded for rule, _ in hits]
            if fired != (firing if in_bounds else []):
                wrong.append(f"{name}: {fired} fired instead of {firing} of {rules}: {sample}")
    assert not wrong, min(wrong, key=len)
