"""Paths: a name behind its directory, as a plain text."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etracee.types.path import SOURCES, join, resolve, source

parts = st.sampled_from([b"", b".", b"..", b"a", b"...", b".b", b"c.", b"\xff\n", b"d e"])
texts = st.lists(parts, max_size=8).map(b"/".join)
roots = st.lists(st.sampled_from([b"jail", b"\xfe", b"x"]), max_size=3).map(
    lambda names: b"".join(b"/" + name for name in names)
)


@given(roots, texts, texts)
@example(b"", b"", b"//a")
@example(b"", b"/a", b"../../..")
@example(b"/jail", b"/a", b"/../../../b/")
def test_joins_as_normpath(root: bytes, directory: bytes, name: bytes) -> None:
    """Of the standard library's answer, only POSIX's two leading slashes are not wanted."""
    below = os.path.normpath(b"/" + (directory + b"/" + name).lstrip(b"/"))
    assert join(root, directory, name) == (root + below.rstrip(b"/") or b"/")


@given(roots, texts, texts)
def test_never_leads_above_the_root(root: bytes, directory: bytes, name: bytes) -> None:
    joined = join(root, directory, name)
    assert joined.startswith(root or b"/")
    assert joined == join(b"", b"", joined)


@pytest.mark.parametrize(
    ("raw", "path", "how"),
    [
        (b"/etc/passwd", b"/etc/passwd", "kernel"),
        (b"/", b"/", "kernel"),
        (b"\0../x\0\0/home/u", b"/home/x", "joined"),
        (b"\0/x//y/.\0\0", b"/x/y", "joined"),
        (b"\0/../x\0/jail\0", b"/jail/x", "joined"),
        (b"\0../../x\0/jail\0/d", b"/jail/x", "joined"),
        (b"\0../../x\0/out/of/jail", b"/out/x", "joined"),
        (b"\0.\0/jail\0", b"/jail", "joined"),
        (b"\0.\0\0", b"/", "joined"),
    ],
)
def test_what_lies_in_a_record(raw: bytes, path: bytes, how: str) -> None:
    found = resolve(raw)
    assert found == path
    assert found is not None
    assert source(found) == SOURCES[how]


def test_what_was_lost_is_missing() -> None:
    assert resolve(b"\0") is None
