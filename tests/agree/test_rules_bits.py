"""The bits that the kernel sets for rules, and what the decoder makes of them, against Python."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hostc
from expressions import samples
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rule_sets import Written, disagreements, fields_of, written

from etracee.clock import Clock
from etracee.decoding import import_decoder
from etracee.event import EventLayout

RECORDS = 8
NO_SHRINKING = (Phase.explicit, Phase.generate)
"""Each example costs a run of gcc; of what disagrees the shortest is told instead."""

garbage = st.sampled_from([b"\0", b"\xa5", b"ab/", b"\xff", b"a"])


def check(rules: Written, data: st.DataObject, records: int = RECORDS) -> None:
    """Put records to the tests of the program and to the decoder."""
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        built = hostc.build(directory, rules.plan(directory))
        (directory / "decoder.py").write_text(built.python)
        reader = hostc.BothReaders(import_decoder(directory / "decoder.py"), Clock())
    wrong = []
    for event in built.plan.events:
        for _ in range(records):
            sample = data.draw(samples(event.layout, fields_of(event.name), rules.known))
            record = hostc.pack(event.layout, sample.packed, sample.cut, data.draw(garbage))
            judged = built.judge(event.name, record)
            wrong += disagreements(rules, event, sample, judged)
            if judged and without_rules(event.layout, judged) != without_rules(
                event.layout, record
            ):
                wrong.append(f"{event.name}: the tests have changed the record of {sample}")
            found = reader.decode(judged) if judged else []
            keeps, steps = rules.keeps(event.name, sample), rules.steps(event.name, sample)
            fired = {hit for _, hits in found for hit in hits}
            if fired != (steps if keeps else set()):
                wrong.append(f"{event.name}: {fired} fired instead of {steps}, {keeps}")
            if bool(found) != (keeps and (event.delivered or bool(steps))):
                wrong.append(f"{event.name}: {found}, of which {steps}, {keeps}")
    assert not wrong, min(wrong, key=len)


def without_rules(layout: EventLayout, record: bytes) -> bytes:
    """Return the record without its bits: what the tests must leave as it is."""
    if "rules" not in [slot.name for slot in layout.slots]:
        return record
    slot = layout.slot("rules")
    return record[: slot.offset] + record[slot.offset + slot.size :]


@settings(max_examples=20, phases=NO_SHRINKING)
@given(written(), st.data())
def test_few_rules(rules: Written, data: st.DataObject) -> None:
    check(rules, data)


@settings(
    max_examples=2,
    phases=NO_SHRINKING,
    suppress_health_check=[HealthCheck.large_base_example],  # as many rules as it is about
)
@given(written(events=1, least=65, most=68), st.data())
def test_more_rules_than_bits(rules: Written, data: st.DataObject) -> None:
    """Fewer records: the rules alone are nearly as much as hypothesis draws for an example."""
    check(rules, data, records=2)
