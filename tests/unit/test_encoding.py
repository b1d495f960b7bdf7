"""Pieces of lines: what is remembered of values that the traced programs choose."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from etracee.encoding import LARGEST_PIECE, MOST_PIECES, Pieces, encode_text


def texts(beginning: bytes) -> Iterable[bytes]:
    return (beginning + b"%d" % number for number in range(MOST_PIECES + 10))


def test_what_is_known_is_not_made_again() -> None:
    asked = []

    def make(raw: bytes) -> str:
        asked.append(raw)
        return encode_text(raw)

    pieces = Pieces(make)
    assert [pieces[b"a"], pieces[b"b"], pieces[b"a"]] == ['"a"', '"b"', '"a"']
    assert asked == [b"a", b"b"]


@pytest.mark.parametrize("beginning", [b"/tmp/", b"\1" * 200, b"\xff" * 200], ids=ascii)
def test_what_is_remembered_is_bounded(beginning: bytes) -> None:
    """Also of names that become six times as long, and of such as are no text."""
    pieces = Pieces(encode_text)
    for raw in texts(beginning):
        made = pieces[raw]
        assert (made is None) == (beginning[0] == 0xFF)
        assert made is None or made == encode_text(raw)
    assert len(pieces) <= MOST_PIECES
    assert all(len(piece) <= LARGEST_PIECE for piece in pieces.values())
