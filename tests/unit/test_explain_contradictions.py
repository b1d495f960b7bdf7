"""What is called a contradiction is one, and what is said of the kernel is what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etracee.catalog import load_catalog
from etracee.expr import contradiction
from etracee.expr.check import check
from etracee.expr.contradiction import contradiction_in
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.expr.split import shares, widen
from etracee.expr.tree import NO, Test, Tree, both, either, leaves, negate

CATALOG = load_catalog("x86_64")
TEXTS = [b"", b"a", b"b", b"ab", b"ba", b"aba", b"bab", b"abab", b"/a", b"/ab/a"]
WORDS = ["a", "b", "ab", "ba", "/a"]
NUMBERS = [0, 1, 2, 3, 4, (1 << 32) - 1]
FLAGS = [0, 1, 2, 3, 0o100, 0o101, 0o102, 0o2000]
ADDRESSES = [(0xFFFF << 32) + n for n in (0x0A000000, 0x0A000001, 0x0B000000)]
VALUES: dict[str, list[Any]] = {
    "uid": NUMBERS,
    "comm": TEXTS,
    "filename": TEXTS,
    "flags": FLAGS,
    "addr": ADDRESSES,
}
"""Values of which the constants below tell all that differ, for these fields."""


def _tree(text: str) -> Tree:
    event = "connect" if text.startswith("addr") else "openat"
    report = Report(lambda _: None)
    tree = check(text, scope_of([CATALOG.events[event]], CATALOG.context, {}), report)[event]
    assert not report.problems, report.problems
    return tree


COMPARISONS = [
    *(f"uid {sign} {n}" for sign in ("=", "!=", "<", "<=", ">", ">=") for n in (1, 3)),
    *("uid in (1, 3)", "uid in 1..2", "uid in 2..3", "uid exists"),
    *(f"{name} {op} {w}" for name in ("comm", "filename") for op in ("=", "!=") for w in WORDS),
    *(f"filename {op} {w}" for op in ("startswith", "endswith", "contains") for w in WORDS),
    *("filename in (a, ab)", "filename in (b, ba)", "comm in (a, b)", "filename exists"),
    *(
        "filename like a*",
        "filename like *b",
        "filename like a*b",
        "filename like ?b",
        "comm like a",
    ),
    *("filename matches 'a$'", "filename matches '^a'"),
    *("flags has O_RDWR", "flags has O_WRONLY", "flags has O_RDONLY", "flags has O_CREAT"),
    *("flags has (O_WRONLY, O_CREAT)", "flags = O_RDONLY", "flags != O_RDWR"),
    *("addr = 10.0.0.1", "addr in 10.0.0.0/8", "addr in 11.0.0.0/8", "addr != 10.0.0.1"),
]
TESTS = [_tree(text) for text in COMPARISONS]
trees = st.recursive(
    st.sampled_from(TESTS),
    lambda inner: st.one_of(
        inner.map(negate),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: both(*parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: either(*parts)),
    ),
    max_leaves=8,
)
records = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.sampled_from(values)) for name, values in VALUES.items()}
)
Record = Mapping[str, Any]


@settings(max_examples=300)
@given(trees, st.lists(records, min_size=30, max_size=60), st.sets(st.sampled_from(["filename"])))
def test_no_event_fulfils_a_contradiction(tree: Tree, found: list[Record], cut: set[str]) -> None:
    if contradiction_in(tree) is not None:
        answer = compile_tree(tree)
        assert not any(answer(record, cut) for record in found)


@pytest.mark.parametrize("first", range(len(TESTS)), ids=COMPARISONS)
def test_pairs_that_contradict(first: int) -> None:
    """Of two comparisons of one field, all that no value of the pool fulfils are looked at."""
    for second in TESTS:
        for other in (second, negate(second)):
            tree = both(TESTS[first], other)
            names = {leaf.field.name for leaf in leaves(tree) if isinstance(leaf, Test)}
            if len(names) > 1 or contradiction_in(tree) is None:
                continue
            (name,) = names
            answer = compile_tree(tree)
            for value in (*VALUES[name], None):
                assert not answer({name: value}, ())
                assert not answer({name: value}, (name,))


@pytest.mark.parametrize(
    "text",
    [
        "uid = 1 and uid = 2",
        "uid < 3 and uid > 2",
        "uid < 0",
        "uid > 1 and not uid >= 1",
        "uid in 5..9 and uid in (1, 10)",
        "uid in 5..9 and not uid in (1..6, 7..20)",
        "uid exists and not uid exists",
        "comm = a and not comm in (a, b)",
        "comm in (a, b) and comm startswith c",
        "filename startswith /etc/ and filename startswith /tmp/",
        "filename like /etc/* and not filename startswith /etc",
        "filename endswith .so and not filename endswith so",
        "filename contains shadow and not filename contains had",
        "filename matches x and not filename matches x",
        "flags has O_WRONLY and flags has O_RDWR",
        "flags = O_CREAT and not flags has O_CREAT",
        "writes and flags has O_RDONLY",
        "(uid = 1 or uid = 2) and (uid = 3 or uid = 4)",
        "not (uid = 1 or not uid = 1)",
        "argv contains a and not argv contains a",
        "addr in 10.0.0.0/8 and addr in 11.0.0.0/8",
        "port = 22 and port > 1023",
    ],
)
def test_is_found(text: str) -> None:
    events = [CATALOG.events[name] for name in ("openat", "execve", "connect")]
    scope = scope_of(events, CATALOG.context, {})
    found = [tree for tree in check(text, scope, Report(lambda _: None)).values() if tree != NO]
    assert found
    assert all(contradiction_in(tree) for tree in found)


@pytest.mark.parametrize(
    "text",
    [
        "uid != 1 and uid != 2",
        "not uid = 1 and not uid != 1",  # where it is missing
        "comm = a and not comm in (b, c)",
        "filename startswith /etc/ and filename startswith /etc/ssh/",
        "filename startswith /etc/ and not filename startswith /etc/ssh/",
        "filename endswith .so and filename startswith .so",
        "filename contains a and not filename contains ab",
        "flags has O_CREAT and flags has O_RDWR",
        "not flags has O_CREAT and flags has O_RDWR",
        "uid = 1 and pid = 2",
        "addr = 10.0.0.1 and addr in 10.0.0.0/8",
    ],
)
def test_near_miss_is_none(text: str) -> None:
    tree = _tree(text)
    assert contradiction_in(tree) is None


def test_the_needless_is_not_named() -> None:
    clash = contradiction_in(_tree("uid < 9 and comm = a and uid > 20 and uid != 5"))
    assert [str(literal) for literal in clash or ()] == ["`uid < 9`", "`uid > 20`"]


def test_much_work_is_not_done() -> None:
    """Of very many alternatives the answer is that something may fulfil them."""
    pairs = [either(_tree(f"uid = {n}"), _tree(f"uid = {n + 1}")) for n in range(0, 40, 2)]
    assert contradiction_in(both(*pairs)) is None
    wide = both(*(_tree(f"pid != {n}") for n in range(contradiction.MOST_STEPS)))
    assert contradiction_in(both(wide, _tree("uid = 1"), _tree("uid = 2"))) is None


def _tests(tree: Tree) -> set[Test]:
    return {leaf for leaf in leaves(tree) if isinstance(leaf, Test)}


@given(trees, st.sets(st.sampled_from([t for t in TESTS if isinstance(t, Test)])))
@example(both(_tree("uid = 1"), _tree("filename matches '^a'")), {_tree("filename matches '^a'")})
def test_kernel_is_said_where_the_kernel_is_asked(tree: Tree, without_c: set[Test]) -> None:
    said = list(shares(tree, lambda t: t not in without_c))
    implied = [_tests(share.asked) for share in said if share.asked is not None]
    decided = {share.test for share in said if share.blocker is None}
    assert decided.union(*implied) == _tests(widen(tree, lambda t: t not in without_c))
    assert [share.test for share in said] == [t for t in leaves(tree) if isinstance(t, Test)]
    assert {share.blocker for share in said} - {None} <= without_c
    assert all(share.blocker == share.test for share in said if share.test in without_c)
