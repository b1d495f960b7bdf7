"""What the kernel is given of an expression, when some of its tests have no C form."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from etracee.catalog import load_catalog
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.expr.split import widen
from etracee.expr.tree import NO, YES, Test, Tree, both, either, leaves, negate

CATALOG = load_catalog("x86_64")
NAMES = ("pid", "ppid", "uid", "gid", "tid", "euid")


def _test(name: str, number: int) -> Tree:
    scope = scope_of([CATALOG.events["openat"]], CATALOG.context, {})
    return check(f"{name} = {number}", scope, Report(lambda _: None))["openat"]


TESTS = [_test(name, number) for name in NAMES for number in (0, 1)]

trees = st.recursive(
    st.sampled_from([*TESTS, YES, NO]),
    lambda inner: st.one_of(
        inner.map(negate),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: both(*parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: either(*parts)),
    ),
    max_leaves=12,
)
values = st.fixed_dictionaries({name: st.sampled_from([0, 1, 2, None]) for name in NAMES})
Values = Mapping[str, "int | None"]


@given(trees, st.sets(st.sampled_from(TESTS)), st.lists(values, min_size=1, max_size=8))
def test_the_kernels_part_is_true_at_least_as_often(
    tree: Tree, without_c: set[Tree], records: list[Values]
) -> None:
    kernel = widen(tree, lambda test: test not in without_c)
    for record in records:
        if compile_tree(tree)(record, ()):
            assert compile_tree(kernel)(record, ())


@given(trees, st.sets(st.sampled_from(TESTS)))
def test_the_kernels_part_has_c_forms_only(tree: Tree, without_c: set[Tree]) -> None:
    kernel = widen(tree, lambda test: test not in without_c)
    assert without_c.isdisjoint(leaf for leaf in leaves(kernel) if isinstance(leaf, Test))


@given(trees, st.lists(values, min_size=1, max_size=8))
def test_nothing_is_lost_where_all_have_a_c_form(tree: Tree, records: list[Values]) -> None:
    kernel = widen(tree, lambda _: True)
    for record in records:
        assert compile_tree(kernel)(record, ()) == compile_tree(tree)(record, ())


def test_a_conjunct_without_c_form_leaves_the_others_to_the_kernel() -> None:
    first, second = TESTS[0], TESTS[2]
    assert widen(both(first, second), lambda test: test != second) == first


def test_a_disjunct_without_c_form_leaves_nothing_to_the_kernel() -> None:
    first, second = TESTS[0], TESTS[2]
    assert widen(either(first, second), lambda test: test != second) == YES


def test_a_negated_conjunct_widens_the_other_way() -> None:
    first, second = TESTS[0], TESTS[2]
    assert widen(negate(both(first, second)), lambda test: test != second) == YES
    assert widen(negate(either(first, second)), lambda test: test != second) == negate(first)
