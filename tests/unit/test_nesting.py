"""Fields with dots: how they nest, in source and in values."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etracee.event import nest as nest_values
from etracee.fragments import Py, py_literal
from etracee.render.nesting import nest, place_in

names = st.lists(st.sampled_from("abc"), min_size=3, max_size=3).map(".".join)


@given(st.dictionaries(names, st.integers()))
def test_source_and_values_nest_alike(values: dict[str, int]) -> None:
    source = nest({name: py_literal(value) for name, value in values.items()})
    found = {key: eval(text) for key, text in source.items()}
    assert found == nest_values(values)
    for name, value in values.items():
        a, b, c = name.split(".")
        assert found[a][b][c] == value


def test_those_of_one_prefix_share_the_place_of_the_first() -> None:
    values = {"a.x": Py("1"), "b": Py("2"), "a.y": Py("3")}
    assert nest(values) == {"a": "{'x': 1, 'y': 3}", "b": "2"}
    assert list(nest(values)) == ["a", "b"]


def test_places_are_made_where_they_are_missing() -> None:
    raw: dict[str, Any] = {}
    for name in ("comm", "parent.comm", "parent.exe", "a.b.c"):
        exec(f"{place_in(Py('raw'), name)} = {name!r}", {"raw": raw})
    assert raw == nest_values(
        {name: name for name in ("comm", "parent.comm", "parent.exe", "a.b.c")}
    )
