"""Numbers of every width and sign against constants at the edges of C's integer types."""

from __future__ import annotations

import operator
from pathlib import Path

import hostc
import pytest

EDGES = sorted(
    edge + near
    for edge in {sign << bits for bits in (15, 16, 31, 32, 63, 64) for sign in (1, -1)} | {0}
    for near in (-1, 0, 1)
)
SIGNS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIELDS = {
    "uid": (0, (1 << 32) - 1),
    "dfd": (-(1 << 31), (1 << 31) - 1),
    "ret": (-(1 << 63), (1 << 63) - 1),
    "usize": (0, (1 << 64) - 1),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("sign", SIGNS)
def test_ordering(field: str, sign: str, tmp_path: Path) -> None:
    """One program holds a comparison for each constant; the pid selects it."""
    low, high = FIELDS[field]
    constants = [edge for edge in EDGES if low <= edge <= high]
    parts = [f"pid = {n} and {field} {sign} {c}" for n, c in enumerate(constants)]
    wanted = {(n, v): SIGNS[sign](v, c) for n, c in enumerate(constants) for v in constants}
    assert _answers(tmp_path, field, " or ".join(parts), wanted) == wanted


@pytest.mark.parametrize("field", FIELDS)
def test_range(field: str, tmp_path: Path) -> None:
    low, high = FIELDS[field]
    constants = [edge for edge in EDGES if low <= edge <= high]
    ranges = [(a, b) for a in constants[::2] for b in constants[1::2] if a <= b]
    parts = [f"pid = {n} and {field} in {a}..{b}" for n, (a, b) in enumerate(ranges)]
    wanted = {(n, v): a <= v <= b for n, (a, b) in enumerate(ranges) for v in constants}
    assert _answers(tmp_path, field, " or ".join(parts), wanted) == wanted


def _answers(
    directory: Path, field: str, text: str, asked: dict[tuple[int, int], bool]
) -> dict[tuple[int, int], bool]:
    plan = hostc.plan_of(directory, {"events": {"openat2": {"filter": text}}})
    built = hostc.build(directory, plan)
    layout = built.event("openat2").layout
    zeros = hostc.zeros(layout)
    return {
        (pid, value): built.is_wanted(
            "openat2", hostc.pack(layout, {**zeros, "pid": pid, field: value})
        )
        for pid, value in asked
    }
