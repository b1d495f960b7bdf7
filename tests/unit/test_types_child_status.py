"""What a wait status means, against the C library's own macros."""

from __future__ import annotations

import os

import pytest

from etracee.types.capabilities import halves
from etracee.types.child_status import status_code, status_exit, status_signal
from etracee.types.ids import show

EXITED, KILLED, DUMPED, STOPPED, CONTINUED = 1, 2, 3, 5, 6


@pytest.mark.parametrize("high", [0, 1, 5, 19, 127, 255])
def test_status_means_what_the_macros_say(high: int) -> None:
    for low in range(256):
        status = high << 8 | low
        raw = status.to_bytes(4, "little")
        code = status_code(raw)
        assert (code == EXITED) == os.WIFEXITED(status)
        assert (code == STOPPED) == os.WIFSTOPPED(status)
        assert (code == CONTINUED) == os.WIFCONTINUED(status)
        if os.WIFEXITED(status):
            assert (status_exit(raw), status_signal(raw)) == (os.WEXITSTATUS(status), None)
        if os.WIFSIGNALED(status):
            assert (code == DUMPED) == os.WCOREDUMP(status)
            assert (status_exit(raw), status_signal(raw)) == (None, os.WTERMSIG(status))
        if os.WIFSTOPPED(status):
            assert (status_exit(raw), status_signal(raw)) == (None, os.WSTOPSIG(status))


def test_what_is_too_short_means_nothing() -> None:
    for size in range(4):
        assert status_code(bytes(size)) is None
        assert status_exit(bytes(size)) is None
        assert status_signal(bytes(size)) is None
    assert halves(bytes(15), 0, 12) is None


def test_halves_are_put_together() -> None:
    raw = bytes(range(24))
    assert halves(raw, 4, 16) == 0x13121110_07060504


def test_a_list_ends_with_its_last_whole_id() -> None:
    assert show((7).to_bytes(4, "little") + (0xFFFFFFFE).to_bytes(4, "little") + b"abc") == [
        7,
        0xFFFFFFFE,
    ]
