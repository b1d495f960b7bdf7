"""strace's own test programs as difficult cases: what strace sees of them, etracee sees.

They pass structures and texts that end where memory does, bits that have no name, and the wrong
descriptors. Their source is fetched and built (kernel_strace_source.py), so they run where they are
asked for: ETRACEE_STRACE_SUITE=some in half a minute besides, =all in some minutes.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from kernel_run import Etracee
from kernel_strace_source import sources_of
from kernel_strace_suite import ALL, SOME, report, run_programs

_CHOICES = {"some": SOME, "all": ALL}
_ASKED = os.environ.get("ETRACEE_STRACE_SUITE")
_SKIPPED = "ends with 77"
"""What a program ends with where the kernel lacks what it tests."""


@pytest.mark.skipif(_ASKED not in _CHOICES, reason="asked for by ETRACEE_STRACE_SUITE=some or all")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are chosen on x86-64")
def test_sees_what_strace_sees_of_its_own_programs(
    etracee: Etracee, work: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every call that they make, and strace prints what they state: -s prints the table."""
    outcomes = run_programs(etracee, work, _CHOICES[_ASKED or "all"])
    lines = [*report(outcomes)]
    print(*lines, sep="\n")
    calls = sum(each.agreement.calls.total() for each in outcomes)
    record_property("calls", calls)
    broken = [each for each in outcomes if each.unusable and not each.unusable.startswith(_SKIPPED)]
    assert not broken, "\n".join(map(str, broken))
    wrong = [each for each in outcomes if each.agreement.mismatches]
    assert not wrong, "\n".join(report(wrong))
    stated, missing = (
        sum(each.stated for each in outcomes),
        sum(each.missing for each in outcomes),
    )
    assert missing < stated / 10, f"strace prints {missing} of {stated} stated calls otherwise"
    assert calls > 50 * len(outcomes), "the programs have hardly done anything"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("deb http://host/d stable main\n# deb x", "deb-src http://host/d stable main\n# deb x"),
        ("Types: deb deb-src\nURIs: x", "Types: deb-src\nURIs: x"),
        ("deb-src http://host/d stable main", "deb-src http://host/d stable main"),
    ],
)
def test_asks_for_sources_where_the_packages_are(given: str, wanted: str) -> None:
    """Both formats of sources.list(5)."""
    assert sources_of(given) == wanted
