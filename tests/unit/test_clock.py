"""Wall-clock times."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from etracee.clock import Clock

SECOND = 1_000_000_000


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live five and three quarter hours east of Greenwich."""
    monkeypatch.setenv("TZ", "XST-05:45")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0, "1970-01-01 05:45:00.000"),
        (1703123456789012345, "2023-12-21 07:35:56.789"),
        (1703123456000999999, "2023-12-21 07:35:56.000"),
        (1703123456999999999, "2023-12-21 07:35:56.999"),
    ],
)
def test_local_time_in_milliseconds(wall: int, text: str) -> None:
    assert Clock().human(wall) == text


@pytest.mark.usefixtures("zone")
def test_each_second_has_its_own_text() -> None:
    """Also where times come back to an earlier second, as records of several processors do."""
    clock = Clock()
    base = 1703123456 * SECOND
    walls = [base, base + SECOND - 1, base + SECOND, base, base + 60 * SECOND]
    assert [clock.human(wall)[-9:] for wall in walls] == [
        "35:56.000",
        "35:56.999",
        "35:57.000",
        "35:56.000",
        "36:56.000",
    ]


def test_monotonic_plus_offset_is_now() -> None:
    clock = Clock()
    assert abs(time.monotonic_ns() + clock.offset - time.time_ns()) < SECOND // 10


def test_set_clock_is_followed_when_adjusted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.offset
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * SECOND)
    clock.adjust()
    assert abs(clock.offset - before - 3600 * SECOND) < SECOND // 10
