"""Messages of rules: text with fields in it."""

from __future__ import annotations

import pytest

from etracee.engine.alerts import Engine
from etracee.event import Event
from etracee.rules.output import parse_output


class Made(Event):
    """An event as the decoder makes it."""

    timestamp: object
    human_time: object
    type: object
    comm: object
    argv: object


def message(template: str, comm: object = "sh", argv: object = None) -> str:
    pieces = tuple((piece.text, piece.is_field) for piece in parse_output(template))
    rule = {
        "id": "r",
        "title": "Title",
        "level": "high",
        "tags": (),
        "output": pieces,
        "steps": ((None, (), {}),),
        "window": None,
        "at_most": None,
        "actions": ("alert",),
    }
    engine = Engine([rule], {})
    (alert,) = engine.alerts(Made("1", "2", "openat", comm, argv), [(0, 0, {})])
    return alert.message


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{comm} ran", "sh ran"),
        ("{{comm}} {comm}", "{comm} sh"),
        ("{comm}{comm}", "shsh"),
        ("", ""),
        ("{{}}", "{}"),
        ("{missing}", "-"),
        ("%s %n ${comm}", "%s %n $sh"),
    ],
)
def test_fields_take_their_places(template: str, text: str) -> None:
    assert message(template) == text


def test_missing_value_prints_a_dash() -> None:
    assert message("{comm}", comm=None) == "-"


def test_lists_are_words() -> None:
    assert message("{argv}", argv=["sh", "-c", "x"]) == "sh -c x"


def test_control_bytes_are_escaped() -> None:
    assert message("{comm}", comm="a\nb\x1b[31m") == "a\\nb\\x1b[31m"


def test_values_are_no_templates() -> None:
    assert message("{comm}", comm="{argv} {0}") == "{argv} {0}"


@pytest.mark.parametrize(
    ("template", "at"), [("a {", 2), ("a }", 2), ("{a b}", 0), ("{}", 0), ("{0}", 0), ("{a!r}", 0)]
)
def test_lonely_braces(template: str, at: int) -> None:
    with pytest.raises(ValueError, match="stands alone") as caught:
        parse_output(template)
    assert caught.value.args[1] == at
