"""What expressions mean, above all for values that are missing or cut."""

from __future__ import annotations

from typing import Any

import pytest

from etracee.catalog import load_catalog
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of

CATALOG = load_catalog("x86_64")


def answer(text: str, event: str, values: dict[str, Any], *cut: str) -> bool:
    report = Report(lambda _: None)
    tree = check(text, scope_of([CATALOG.events[event]], CATALOG.context, {}), report)[event]
    assert not report.problems
    return compile_tree(tree)(values, cut)


def number(text: str) -> int:
    field = CATALOG.events["connect"].fields["addr"]
    value = field.type.parse(text)
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        # what is there decides
        ("filename startswith /ab", b"/abcd", True),
        ("filename startswith /x", b"/abcd", False),
        ("not filename startswith /x", b"/abcd", True),
        ("filename contains bc", b"/abcd", True),
        ("filename = /abcd", b"/abcd", False),
        ("filename != /abcd", b"/abcd", True),
        ("filename in (/abcd, /x)", b"/abcd", False),
        ("filename like /a*", b"/abcd", True),
        ("filename like /x*", b"/abcd", False),
        ("filename matches ^/ab", b"/abcd", True),
        # the end is not known, so the value counts as missing
        ("filename endswith cd", b"/abcd", False),
        ("not filename endswith cd", b"/abcd", True),
        ("filename contains de", b"/abcd", False),
        ("filename like /a*d", b"/abcd", False),
        ("filename like /abc?", b"/abcd", False),
        ("filename matches cd$", b"/abcd", False),
        ("filename matches x", b"/abcd", False),
        ("filename exists", b"/abcd", True),
    ],
)
def test_cut_text(text: str, name: bytes, expected: bool) -> None:
    assert answer(text, "openat", {"filename": name}, "filename") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("argv contains -c", True),
        ("argv contains whol", False),
        ("argv contains cu", False),
        ("not argv contains cu", True),
        ("argv contains cut", False),
    ],
)
def test_cut_vector(text: str, expected: bool) -> None:
    """Its last element may itself be cut: `cu` of what was `cut`."""
    assert answer(text, "execve", {"argv": [b"-c", b"whole", b"cu"]}, "argv") is expected
    assert answer("argv contains cu", "execve", {"argv": [b"-c", b"whole", b"cu"]})


@pytest.mark.parametrize("sign", ["=", "!=", "<", "<=", ">", ">="])
def test_missing_number(sign: str) -> None:
    assert not answer(f"port {sign} 22", "connect", {"port": None})
    assert answer(f"not port {sign} 22", "connect", {"port": None})


@pytest.mark.parametrize(
    ("text", "address", "expected"),
    [
        ("addr = 10.0.0.1", "10.0.0.1", True),
        ("addr = ::ffff:10.0.0.1", "10.0.0.1", True),
        ("addr = 10.0.0.1", "::ffff:10.0.0.1", True),
        ("addr = ::10.0.0.1", "10.0.0.1", False),
        ("addr in 10.0.0.0/8", "10.255.255.255", True),
        ("addr in 10.0.0.0/8", "11.0.0.0", False),
        ("addr in 0.0.0.0/0", "::1", False),
        ("addr in ::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("addr in ::/0", "10.1.2.3", True),
        ("addr in 10.0.0.1", "10.0.0.1", True),
        ("addr in (10.0.0.1, fe80::/10)", "febf::1", True),
    ],
)
def test_addresses(text: str, address: str, expected: bool) -> None:
    assert answer(text, "connect", {"addr": number(address)}) is expected


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("flags has O_RDONLY", 0o100, True),
        ("flags has O_RDONLY", 0o1, False),
        ("flags has O_RDWR", 0o3, False),
        ("flags has O_SYNC", 0o10000, False),
        ("flags has O_DSYNC", 0o4010000, True),
        ("flags has O_CREAT|O_EXCL", 0o100, False),
        ("flags has O_CREAT|O_EXCL", 0o300, True),
        ("flags has (O_CREAT, O_EXCL)", 0o200, True),
        ("flags = O_CREAT|O_WRONLY", 0o101, True),
        ("flags = O_CREAT", 0o101, False),
        ("writes", 0o1, True),
        ("not writes", 0o100, True),
    ],
)
def test_flags(text: str, flags: int, expected: bool) -> None:
    assert answer(text, "openat", {"flags": flags}) is expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("filename like a*", b"a\nb", True),
        ("filename like a?c", b"a\xffc", True),
        ("filename like a?c", "aéc".encode(), False),
        ("filename like 'a[b]'", b"a[b]", True),
        ("filename like 'a[b]'", b"ab", False),
        ("filename like 'a.c'", b"abc", False),
        ("filename like A", b"a", False),
        ("filename = é", "é".encode(), True),
        ("filename = é", "e\u0301".encode(), False),
        ("filename matches '\\\\xff'", b"\xff", True),
        ("filename matches '^a.c$'", b"a\xffc", True),
        ("filename = ''", b"", True),
        ("filename startswith ''", b"", True),
        ("filename exists", b"", True),
    ],
)
def test_texts_are_bytes(text: str, name: bytes, expected: bool) -> None:
    assert answer(text, "openat", {"filename": name}) is expected


def test_type_is_the_events_name() -> None:
    assert answer("type = openat", "openat", {})
    assert not answer("type in (open, creat)", "openat", {})
    assert answer("type startswith open", "openat", {})


def test_error_names_in_results() -> None:
    assert answer("ret = ENOENT", "openat", {"ret": -2})
    assert answer("ret = -ENOENT", "openat", {"ret": -2})
    assert answer("ret in (EACCES, EPERM)", "openat", {"ret": -1})
    assert not answer("ret in (EACCES, EPERM)", "openat", {"ret": 1})


@pytest.mark.parametrize(
    ("text", "level", "option", "expected"),
    [
        ("optname = SO_REUSEADDR", 1, 2, True),
        ("optname = SO_REUSEADDR", 0, 2, False),
        ("optname = 2", 0, 2, True),
        ("optname != SO_REUSEADDR", 0, 2, True),
        ("optname != SO_REUSEADDR", 1, 2, False),
        ("not optname = SO_REUSEADDR", 0, 2, True),
        ("optname in (SO_REUSEADDR, TCP_NODELAY)", 6, 1, True),
        ("optname in (SO_REUSEADDR, TCP_NODELAY)", 6, 2, False),
        ("optname in (SO_REUSEADDR, 1)", 0, 1, True),
    ],
)
def test_name_that_another_field_gives(text: str, level: int, option: int, expected: bool) -> None:
    """A number means what it is named only where the other field says so."""
    assert answer(text, "setsockopt", {"sockopt_level": level, "optname": option}) is expected
