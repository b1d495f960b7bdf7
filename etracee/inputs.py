"""What a compilation has read, so that it can be told later whether it would read the same."""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LARGEST = 1 << 20
"""Bytes of a file that is read; a profile or a rule file is some kilobytes."""


@dataclass
class Inputs:
    """Files that were read, by their absolute path, and names that were looked up.

    `files` have the digest of what was read; `links` say what a name that was looked up has led
    to; `absent` are the names that there was no file of, so that a later place was looked at.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def are_same(self) -> bool:
        """Say whether the same names lead to the same files, and those say the same."""
        return (
            not any(map(os.path.isfile, self.absent))
            and all(os.path.realpath(name) == path for name, path in self.links.items())
            and all(_digest_of(path) == digest for path, digest in self.files.items())
        )


_recorded: contextvars.ContextVar[Inputs | None] = contextvars.ContextVar("inputs", default=None)


@contextlib.contextmanager
def record_inputs() -> Iterator[Inputs]:
    """Note what is read and looked up within the block."""
    inputs = Inputs()
    token = _recorded.set(inputs)
    try:
        yield inputs
    finally:
        _recorded.reset(token)


def note_file(path: Path, content: bytes) -> None:
    """Note that `content` was read from `path`."""
    if inputs := _recorded.get():
        inputs.files[str(path.absolute())] = digest(content)


def note_lookup(path: Path, *, is_there: bool) -> None:
    """Note that a file `path` was looked for, and whether there was one."""
    inputs = _recorded.get()
    if inputs and is_there:
        inputs.links[str(path.absolute())] = os.path.realpath(path)
    elif inputs:
        inputs.absent.append(str(path.absolute()))


def digest(content: bytes) -> bytes:
    """Return what stands for a file's content."""
    return hashlib.sha256(content).digest()


def _digest_of(path: str) -> bytes | None:
    """Return the digest of a regular file, of its beginning if it is larger than any we read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return digest(file.read(LARGEST + 1))
    return None
