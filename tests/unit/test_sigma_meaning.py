"""An imported condition means what Sigma means by it.

The witness reads Sigma's text of a value by the words of its specification, and does not ask
pySigma: * is any text, ? one character, and a backslash takes the meaning from the wildcard or
backslash behind it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etracee.catalog import load_catalog
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.types import texts

pytest.importorskip("sigma", reason="pySigma needs Python 3.11")

from sigma.rule import SigmaRule

from etracee.sigma.convert import convert_rule
from etracee.sigma.files import dump

CATALOG = load_catalog("x86_64")

# A value is made of pieces: what they are in Sigma's text, and what they stand for (None and ...
# are the wildcards). A lone backslash stands for itself only before what it cannot escape.
PIECES: list[tuple[str, Any]] = [
    *((char, char) for char in "aAkKsS/ .-'\"{}$^+()[]|#,:=\n\t\x01\u00e9\u00c9\u00e4"),
    ("\\*", "*"),
    ("\\?", "?"),
    ("\\\\", "\\"),
    ("\\n", "\\n"),
    ("*", None),
    ("?", ...),
]
VALUES = st.lists(st.sampled_from(PIECES), max_size=8)


def source_of(pieces: list[tuple[str, Any]]) -> str:
    return "".join(written for written, _ in pieces)


def witness(pieces: list[tuple[str, Any]], *, ignore_case: bool) -> re.Pattern[str]:
    wildcards = {None: ".*", ...: "."}
    parts = (wildcards[p] if p in wildcards else re.escape(p) for _, p in pieces)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.compile("".join(parts), flags)


CHANGES = (
    str,
    str.swapcase,
    str.upper,
    lambda text: text[1:],
    lambda text: text + "a",
    lambda text: text.replace("?", "a"),
    lambda text: text.replace("*", "aa"),
    lambda text: text.replace("\\", ""),
)


@st.composite
def values_and_texts(draw: st.DrawFn) -> tuple[list[tuple[str, Any]], str]:
    """Return a value, and a text that fits it or nearly does."""
    pieces = draw(VALUES)
    some = st.text("aAkKsS/ .-*?\\\u00e9\u00c9\n", max_size=3)
    one = st.sampled_from("aA/*\\\n")
    text = ""
    for _, part in pieces:
        text += draw(some) if part is None else draw(one) if part is ... else part
    change = draw(st.sampled_from(CHANGES))
    return pieces, change(text)


def condition_of(detection: dict[str, Any], *, ignore_case: bool = False) -> str:
    rule = SigmaRule.from_dict(
        {
            "title": "T",
            "logsource": {"category": "process_creation", "product": "linux"},
            "detection": {"condition": "selection", **detection},
        }
    )
    (converted,) = convert_rule(rule, CATALOG, ignore_case=ignore_case)
    (read,) = yaml.safe_load(dump([converted]))["rules"]
    assert read == converted
    condition = read["condition"]
    assert isinstance(condition, str)
    return condition


def answer(condition: str, values: dict[str, Any], cut: Collection[str] = ()) -> bool:
    report = Report(lambda _: None)
    scope = scope_of([CATALOG.events["execve"]], CATALOG.context, {})
    tree = check(condition, scope, report)["execve"]
    assert not report.problems, report.problems
    return compile_tree(tree)({"ret": 0, **values}, cut)


@settings(deadline=None)
@given(values_and_texts())
@example(([("\\\\", "\\"), ("*", None)], "\\x"))
@example(([("*", None), ("?", ...), ("a", "a")], "a"))
@example(([("\\?", "?"), ("*", None), ("a", "a")], "xba"))
@example(([("\\*", "*"), ("?", ...), ("a", "a")], "xba"))
def test_values_fit_as_they_are(drawn: tuple[list[tuple[str, Any]], str]) -> None:
    pieces, text = drawn
    condition = condition_of({"selection": {"CommandLine": source_of(pieces)}})
    expected = witness(pieces, ignore_case=False).fullmatch(text) is not None
    assert answer(condition, {"cmdline": text.encode()}) is expected


@settings(deadline=None)
@given(values_and_texts())
@example(([("\u00e9", "\u00e9"), ("*", None)], "\u00c9x"))
@example(([("k", "k")], "K"))
def test_values_fit_whatever_their_case(drawn: tuple[list[tuple[str, Any]], str]) -> None:
    pieces, text = drawn
    condition = condition_of({"selection": {"CommandLine": source_of(pieces)}}, ignore_case=True)
    expected = witness(pieces, ignore_case=True).fullmatch(text) is not None
    assert answer(condition, {"cmdline": text.encode()}) is expected


MODIFIERS = {
    "contains": lambda value, text: value in text,
    "startswith": lambda value, text: text.startswith(value),
    "endswith": lambda value, text: text.endswith(value),
    "cased": lambda value, text: value == text,
}
PLAIN = st.text("aA-/.'$ \u00e9", min_size=1, max_size=4)


@settings(deadline=None)
@given(st.sampled_from(list(MODIFIERS)), PLAIN, st.text("aA-/.'$ \u00e9", max_size=8))
def test_modifiers(modifier: str, value: str, text: str) -> None:
    condition = condition_of({"selection": {f"CommandLine|{modifier}": value}})
    expected = MODIFIERS[modifier](value, text)
    assert answer(condition, {"cmdline": text.encode()}) is expected


def test_cased_holds_where_case_is_ignored() -> None:
    condition = condition_of({"selection": {"CommandLine|cased": "Ab"}}, ignore_case=True)
    assert answer(condition, {"cmdline": b"Ab"})
    assert not answer(condition, {"cmdline": b"ab"})


NAMES = ("a", "b", "c", "d")
CONDITIONS = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda t: f"not ({t})"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(CONDITIONS, st.sets(st.sampled_from(NAMES)))
def test_brackets_and_operators(text: str, true: set[str]) -> None:
    """Python's own and, or and not are the witness."""
    fields = {name: {"CommandLine|contains": f"<{name}>"} for name in NAMES}
    named = {f"s{name}": detection for name, detection in fields.items()}
    renamed = re.sub(r"\b([abcd])\b", r"s\1", text)
    condition = condition_of({**named, "condition": renamed})
    expected = bool(eval(text, {name: name in true for name in NAMES}))
    line = "".join(f"<{name}>" for name in true)
    assert answer(condition, {"cmdline": line.encode()}) is expected


@pytest.mark.parametrize(
    ("quantified", "true", "expected"),
    [
        ("1 of s*", {"a"}, True),
        ("1 of s*", {"d"}, False),
        ("all of s*", {"a", "b"}, True),
        ("all of s*", {"a"}, False),
        ("all of them", {"a", "b", "d"}, True),
        ("all of them", {"a", "b"}, False),
        ("1 of them", set(), False),
    ],
)
def test_quantifiers(quantified: str, true: set[str], expected: bool) -> None:
    names = {"sa": "a", "sb": "b", "d": "d"}
    detections = {name: {"CommandLine|contains": f"<{mark}>"} for name, mark in names.items()}
    condition = condition_of({**detections, "condition": quantified})
    line = "".join(f"<{mark}>" for mark in true)
    assert answer(condition, {"cmdline": line.encode()}) is expected


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6))
def test_any_text_is_written_safely(value: str) -> None:
    """Whatever stands in a value is a constant, never a part of the expression."""
    escaped = re.sub(r"([*?\\])", r"\\\1", value)
    condition = condition_of({"selection": {"CommandLine": escaped}})
    assert answer(condition, {"cmdline": value.encode()})
    assert not answer(condition, {"cmdline": value.encode() + b"x"})


def test_arguments_of_a_vector() -> None:
    """The parts of argv: the line, and the arguments by their position."""
    parts = texts.Texts().parts
    argv = [b"sh", b"-c", b"echo a  b", b""]
    found = {name: part.python(argv, *part.given) for name, part in parts.items()}
    assert found["cmdline"] == b"sh -c echo a  b "
    assert [found[f"arg{n}"] for n in range(5)] == [*argv, None]
    assert parts["cmdline"].python([]) == b""


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("cmdline contains echo", True),
        ("cmdline startswith sh", True),
        ("cmdline contains later", False),
        ("not cmdline endswith a", True),  # the end is not known
        ("cmdline = 'sh echo a'", False),
        ("cmdline endswith a", False),
        ("arg1 = echo", False),
    ],
)
def test_parts_of_a_cut_vector_are_cut(condition: str, expected: bool) -> None:
    values = {"cmdline": b"sh echo a", "arg1": b"echo"}
    assert answer(condition, values, cut=("argv",)) is expected
