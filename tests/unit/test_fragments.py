"""Literals: nothing but them leads from YAML into code."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etracee.fragments import (
    C,
    Py,
    c,
    c_comment,
    c_ident,
    c_int,
    join,
    py,
    py_ident,
    py_literal,
    py_variable,
)


@pytest.mark.parametrize("part", ["plain", Py("x"), None, 1.5, True, b"x", ["x"]])
def test_c_takes_c_and_numbers_only(part: object) -> None:
    with pytest.raises(TypeError):
        c("{part}", part=part)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["plain", C("x"), None, False])
def test_python_takes_python_and_numbers_only(part: object) -> None:
    with pytest.raises(TypeError):
        py("{part}", part=part)  # type: ignore[arg-type]


def test_join_takes_one_language() -> None:
    assert join(" + ", [C("a"), C("b")], C) == "a + b"
    with pytest.raises(TypeError):
        join(" + ", [C("a"), Py("b")], C)  # type: ignore[type-var]
    with pytest.raises(TypeError):
        join(" + ", ["a"], C)  # type: ignore[type-var]


def test_parts_are_not_templates_again() -> None:
    assert c("{a} {b}", a=C("{b}"), b=2) == "{b} 2"


def _value_of(literal: str) -> int:
    """Read the literal as C does, on a machine with 64-bit long."""
    match = re.fullmatch(r"(?:\(\((s64)\))?(-?)(0x[0-9a-f]+|\d+)(?:U?LL)?\)?", literal)
    assert match, literal
    number = int(match[3], 0) * (-1 if match[2] else 1)
    return number - (1 << 64) if match[1] and number >= 1 << 63 else number


@given(st.integers(-(1 << 63), (1 << 64) - 1))
@example(-(1 << 63))
@example(-(1 << 31))
@example(-(1 << 31) - 1)
@example((1 << 31) - 1)
@example(1 << 31)
@example((1 << 63) - 1)
@example((1 << 64) - 1)
def test_c_int_is_the_number(number: int) -> None:
    assert _value_of(c_int(number)) == number


@pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1])
def test_c_int_fits_64_bits(number: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        c_int(number)


@pytest.mark.parametrize("number", [0x80000000, 0x7FFFFFFFFFFFFFFF])
def test_c_int_that_fits_s64_is_signed(number: int) -> None:
    """Beside an unsigned constant, C compares a negative value as a huge one."""
    assert "U" not in c_int(number)


@given(st.text())
@example("*/")
@example("**//")
@example("*\n/")
@example("/*")
@example("\\")
@example("??/")
def test_c_comment_stays_one_comment_on_one_line(text: str) -> None:
    shown = f"/* {c_comment(text)} */"
    assert shown.isascii() and shown.isprintable()
    assert shown.index("*/") == len(shown) - 2
    assert shown.rindex("/*") == 0
    assert "??" not in shown


@pytest.mark.parametrize("name", ["", "1a", "a b", "a;b", "a\n", "é", "a*/", "a(", "{a}"])
def test_identifiers_are_refused(name: str) -> None:
    for make in (c_ident, py_ident, py_variable):
        with pytest.raises(ValueError, match="identifier"):
            make(name if make is not py_variable or name != "1a" else "a b")


def test_identifiers_are_flat() -> None:
    assert c_ident("parent.comm") == "parent__comm"
    assert c_ident("parent_comm") == "parent_comm"
    assert py_variable("class") == "v_class"


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=8,
)


@given(literals)
def test_py_literal_reads_back(value: object) -> None:
    assert ast.literal_eval(py_literal(value)) == value


@pytest.mark.parametrize("value", [object(), {1, 2}, [object()], {"a": object()}, Py("x"), C("x")])
def test_py_literal_refuses_what_has_none(value: object) -> None:
    with pytest.raises(TypeError):
        py_literal(value)
