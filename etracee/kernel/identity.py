"""Which kernel this is: what a compiled program fits to."""

from __future__ import annotations

import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

_NOTES = Path("/sys/kernel/notes")
_BUILD_ID = 3
"""NT_GNU_BUILD_ID: elf(5)."""
_HEAD = struct.Struct("<III")


@dataclass(frozen=True)
class Kernel:
    """A kernel's build: two of one release may have different structures.

    `build_id` is what its linker made of all that it consists of, in hex.
    """

    build_id: str
    release: str
    machine: str


def identify_kernel() -> Kernel | None:
    """Return which kernel runs; None where it does not tell."""
    try:
        build_id = _find_build_id(_NOTES.read_bytes())
    except OSError:
        return None
    return Kernel(build_id, os.uname().release, platform.machine()) if build_id else None


def _find_build_id(notes: bytes) -> str | None:
    """Return the build id among ELF notes: name and content are padded to 4 bytes each."""
    at = 0
    while at + _HEAD.size <= len(notes):
        name_size, size, kind = _HEAD.unpack_from(notes, at)
        name_at = at + _HEAD.size
        content_at = name_at + (name_size + 3 & ~3)
        if kind == _BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            return notes[content_at : content_at + size].hex()
        at = content_at + (size + 3 & ~3)
    return None
