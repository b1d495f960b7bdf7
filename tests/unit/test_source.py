"""YAML: what is read, where it stood, and what is no YAML for us."""

from __future__ import annotations

from pathlib import Path

import pytest

from etracee.problems import ProblemsError
from etracee.source import DEEPEST, LARGEST, Document, read_document, read_text


def read(text: str) -> Document:
    return read_text(text, "f.yaml")


def place(document: Document, path: tuple[str | int, ...], offset: int = 0) -> tuple[int, int]:
    found = document.offset_place(path)(offset)
    return found.line, found.column


@pytest.mark.parametrize(
    "text", ["no", "010", "22:22", "2024-01-01", "1e3", "0x1f", "true", "1_000"]
)
def test_scalars_stay_what_was_typed(text: str) -> None:
    assert read(f"a: {text}\n").data == {"a": text}


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_nothing_is_none(text: str) -> None:
    assert read(f"a: {text}\n").data == {"a": None}


def test_quoted_nothing_is_text() -> None:
    assert read("a: ''\nb: 'null'\n").data == {"a": "", "b": "null"}


def test_places_of_values_and_keys() -> None:
    document = read("a:\n  - b\n  - {c: d, e: f}\n")
    assert (document.place(("a", 0)).line, document.place(("a", 0)).column) == (2, 5)
    assert (document.place(("a", 1, "e")).line, document.place(("a", 1, "e")).column) == (3, 15)
    assert document.key_place(("a", 1, "e")).column == 12
    assert str(document.place(("a", 1, "nothing"))) == "f.yaml:3:5"
    assert str(document.place(("nothing",))) == "f.yaml:1:1"


@pytest.mark.parametrize(
    ("text", "word", "where"),
    [
        ("a: uid = 0 and x\n", "x", (1, 16)),
        ("a: 'uid = 0 and x'\n", "x", (1, 17)),
        ('a: "uid = 0 and x"\n', "x", (1, 17)),
        ("a: 'it''s here x'\n", "x", (1, 16)),
        ('a: "\\"\\x41\\u00e9\\" x"\n', "x", (1, 20)),
        ("a: >-\n  uid = 0 and\n  x\n", "x", (3, 3)),
        ("a: >-\n  uid = 0\n\n  and x\n", "x", (4, 7)),
        ("a: |\n  uid = 0 and\n  x\n", "x", (3, 3)),
        ("a: |-\n    uid = 0\n    and x\n", "x", (3, 9)),
        ("a: uid = 0\n  and x\n", "x", (2, 7)),
        ("a: 'uid = 0\n  and x'\n", "x", (2, 7)),
        ('a: "uid = 0 \\\n   and x"\n', "x", (2, 8)),
    ],
)
def test_place_inside_a_scalar(text: str, word: str, where: tuple[int, int]) -> None:
    document = read(text)
    assert place(document, ("a",), document.data["a"].index(word)) == where


def test_place_behind_the_end_of_a_scalar() -> None:
    assert place(read("a: uid =\n"), ("a",), 5) == (1, 9)


def test_aliases_are_values() -> None:
    document = read("a: &x [1, {b: 2}]\nc: *x\n")
    assert document.data == {"a": ["1", {"b": "2"}], "c": ["1", {"b": "2"}]}
    assert str(document.place(("c", 1))) == "f.yaml:2:4"


def test_merge_keys_are_plain_keys() -> None:
    assert read("a: &x {b: 1}\nc: {<<: *x}\n").data["c"] == {"<<": {"b": "1"}}


def test_key_that_stands_twice() -> None:
    document = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert [str(problem) for problem in document.problems] == [
        "f.yaml:2:11: 'c' stands here a second time (first at line 2)",
        "f.yaml:3:1: 'a' stands here a second time (first at line 1)",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\n", "f.yaml:2:1: not YAML"),
        ("a: [1\nb: 2\n", "(the [ of line 1 is not closed before; quotes may lack)"),
        ("a: {b: c[0]}\n", "f.yaml:1:9: not YAML: expected ',' or '}', but got '['"),
        ("a: {b: c[0]}\n", "([ begins a list or mapping: quote the expression, or use >-)"),
        ("a: {b: c #d}\n\n  e: 1\n", "f.yaml:1:10: not YAML"),
        ("a: {b: c #d}\n\n  e: 1\n", "YAML ends a plain value at ` #`: quote the expression"),
        ("a: b: c\n", "f.yaml:1:5: not YAML"),
        ("a: 'b\n", "not YAML"),
        ("a: *b\n", "f.yaml:1:4: *b names no &b before it"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key must be a plain word"),
        ("a: \x07\n", "f.yaml:1:4: character #x0007 is not allowed"),
        ("é: 日\x00\n", "f.yaml:1:5: character #x0000 is not allowed"),
        ("%YAML 9.9\n---\na: 1\n", "not YAML"),
        ("a: !!binary |\n  AAAA\nb: [\n", "not YAML"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        read(text)
    assert told in str(caught.value)


def test_nesting_is_bounded() -> None:
    fine = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert read(fine).data is not None
    with pytest.raises(ProblemsError) as caught:
        read("[" * 100 + "]" * 100)
    assert f"nested deeper than {DEEPEST} levels" in str(caught.value.problems[0])


def test_size_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("a: 1\n" + "#" * (LARGEST - 5))
    assert read_document(file).data == {"a": "1"}
    file.write_text("a: 1\n" + "#" * (LARGEST - 4))
    with pytest.raises(ProblemsError) as caught:
        read_document(file)
    assert "the file is larger than" in str(caught.value)


def test_windows_and_no_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a: 1\r\nb:\r\n  - c\r\n  - d")
    document = read_document(file)
    assert document.data == {"a": "1", "b": ["c", "d"]}
    assert document.place(("b", 1)).line == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b # c\n", "quote the expression, or write it behind >-"),
        ("a: {b: c, d: e}\n", None),
        ("a: 'b' # c\n", None),
        ("a: b#c\n", None),
        ("a: >-\n  b # c\n", None),
    ],
)
def test_advice_for_what_yaml_may_have_cut(text: str, told: str | None) -> None:
    hint = read(text).quoting_hint(("a",))
    assert (hint is None) if told is None else (told in str(hint))


def test_advice_for_what_yaml_may_have_split() -> None:
    hint = read("a: {b: c in (d, e)}\n").quoting_hint(("a", "b"))
    assert hint == "YAML splits at commas within braces: quote the expression, or use >-"
