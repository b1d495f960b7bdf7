"""Lengths and sets of flags as they are written in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key


class Entry(BaseModel):
    """Base of everything written: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LengthEntry(Entry):
    """A length that lies in user memory: a number `c` at byte `at` behind the argument `of`."""

    of: str
    at: int = 0
    c: Literal["s32", "u64"] = "s32"


class ShiftEntry(Entry):
    """A number among flags, of which `bits` bits lie from bit `shift` on."""

    shift: int
    bits: int


class FlagsEntry(Entry):
    """A set of flag names; a value is a number, or one for each architecture.

    `like` is a set whose single flags belong to this one too, behind its own. `shifted` are
    numbers by the name of their shift: they print as 21<<MAP_HUGE_SHIFT.
    """

    doc: str
    bits: Mapping[str, int | Mapping[str, int]]
    like: str | None = None
    groups: Mapping[int, Mapping[str, int]] = Key(default_factory=dict)
    shifted: Mapping[str, ShiftEntry] = Key(default_factory=dict)
