"""Problems: what they print, how many, and what they suggest."""

from __future__ import annotations

import pytest

from etracee.problems import (
    SHOWN_AT_MOST,
    ExitCode,
    Place,
    Problem,
    ProblemsError,
    did_you_mean,
    host_lacks,
    printable,
    wrong,
)

PLACE = Place("a.yaml", 3, 7)


def test_place_message_and_hint() -> None:
    assert str(Problem(PLACE, "no such thing", "try another")) == (
        "a.yaml:3:7: no such thing (try another)"
    )
    assert str(Problem(None, "no such thing")) == "no such thing"


@pytest.mark.parametrize(
    ("count", "last"),
    [(1, "p0"), (50, "p49"), (51, "and 1 more"), (250, "and 200 more")],
)
def test_fifty_are_shown_and_then_their_number(count: int, last: str) -> None:
    lines = str(ProblemsError(Problem(None, f"p{n}") for n in range(count))).split("\n")
    assert lines[-1] == last
    assert len(lines) == min(count, SHOWN_AT_MOST + 1)


def test_codes_tell_the_users_fault_from_the_hosts() -> None:
    assert wrong(PLACE, "x").code == ExitCode.WRONG_INPUT
    assert host_lacks("x", "y").code == ExitCode.HOST


def test_nearest_word() -> None:
    words = ["filename", "flags", "mode"]
    assert did_you_mean("filname", words) == "did you mean 'filename'?"
    assert did_you_mean("xyzzy", words) is None
    assert did_you_mean("anything", []) is None
    assert did_you_mean("$kill", ["$poll", "$open"]) is None
    assert did_you_mean("$kill", ["kill", "$poll"]) == "did you mean 'kill'?"
    assert did_you_mean("$opne", ["$open", "open"]) == "did you mean '$open'?"
    assert did_you_mean("opne", ["$open", "open"]) == "did you mean 'open'?"
    assert did_you_mean("f" * 1_000_000, words) is None


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x85\u2028\u202e", "\\x85\\u2028\\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_all_parts_of_a_problem_are_escaped() -> None:
    text = str(Problem(Place("a\nb", 1, 1), "c\nd", "e\nf"))
    assert text == "a\\nb:1:1: c\\nd (e\\nf)"
