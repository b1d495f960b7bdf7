"""What strace's test programs state: they print the lines that strace should print.

They are in strace's usual format, while OPTIONS ask for another: both are brought to one form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_NAMED = re.compile(rb'(?:-?\w+|"[^"]*") /\* ([^*?]*?) \*/')
_RESULT = re.compile(rb"\s+= ")
_DESCRIPTOR = re.compile(rb"(?<=[(, ])(-?\d+|AT_FDCWD)<[^<>]*>")
"""A descriptor with what it stands for, as strace -y prints it."""
_THREAD = re.compile(rb"^\d+ +")


def count_stated(stated: Path, trace: Path) -> tuple[int, int]:
    """Return how many calls are stated, and how many of them strace prints otherwise.

    It does where the program expects options that abbreviate more or less, as -s and -v do.
    """
    calls = [_bring(line) for line in _calls(stated.read_bytes().splitlines())]
    found = {_bring(_THREAD.sub(b"", line)) for line in trace.read_bytes().splitlines()}
    return len(calls), sum(call not in found for call in calls)


def _calls(lines: Iterable[bytes]) -> Iterable[bytes]:
    return (line for line in lines if re.match(rb"\w+\(.*\)\s+= ", line))


def _bring(line: bytes) -> bytes:
    """Bring a line to the form in which strings are hexadecimal and numbers have but names."""
    line = _STRING.sub(lambda match: b'"' + _plain(match[1]).hex().encode() + b'"', line)
    line = _NAMED.sub(lambda match: match[1], line)
    line = _DESCRIPTOR.sub(lambda match: match[1], line)
    return _RESULT.sub(b" = ", line)


def _plain(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: _character(match[1]), text)


def _character(escape: bytes) -> bytes:
    if escape[:1] == b"x" and len(escape) == 3:
        return bytes.fromhex(escape[1:].decode())
    if escape.isdigit():
        return bytes([int(escape, 8) & 0xFF])
    return _LETTERS.get(escape, escape)
