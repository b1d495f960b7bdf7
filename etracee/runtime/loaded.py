"""A program in the kernel, as it is handed from what has loaded it to the monitor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SHARED_MAPS = (
    "events",
    "config",
    "tracked",
    "ended",
    "other_execs",
)
"""Maps that a program takes over from the one that it replaces, besides those of its slots."""
BRANCHES = "request_functions"
"""The map of the functions for one event each: without a descriptor, the kernel empties it."""
OWN_MAPS = (
    "counts",
    "left_open",
    "unpaired",
    "pending",
    "previous",
    "tallies",
    "epoch",
    "unfitted",
    "requests",
    "previous_requests",
    BRANCHES,
    "abi_programs",
    "abi_execs",
)
"""Maps whose layout depends on the profile: each program has its own."""


@dataclass(frozen=True)
class Place:
    """Where a function belongs: into slot `slot` of the map `slots`, from which `stub` calls it.

    `kind` is that of its program, for the kernel's function of the BTF id `target`, 0 where it is
    for none. `tells` is what is lost where the kernel skips the stub: see Plan.find_told().
    """

    function: str
    kind: str
    target: int
    slots: str
    slot: int
    stub: str
    tells: str | None


def shared_maps(places: Iterable[Place]) -> frozenset[str]:
    """Return the names of all maps that programs with these places take over and leave behind."""
    return frozenset((*SHARED_MAPS, *(place.slots for place in places)))


@dataclass(frozen=True)
class Loaded:
    """A program in the kernel; its functions run when they are put into their slots.

    `places` stand in the order in which they are to be filled. `programs` are the descriptors of
    the functions, by name; `stubs` and `links` those of what this load has attached, by the stub's.
    Closing a link detaches it. `maps` are all maps of the first program, and a later one's own.
    `files` are those the profile was read from; `notes` are for the user.
    """

    generation: int
    places: tuple[Place, ...]
    maps: Mapping[str, int]
    programs: Mapping[str, int]
    stubs: Mapping[str, int]
    links: Mapping[str, int]
    attach: str
    typed_loads: bool
    profile: str
    version: str | None
    files: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Running:
    """What a program must fit to that is to replace another: what it shares with it, and how.

    `generation` is the new program's; it fits 16 bits. `attached` names the stubs that are attached
    already.
    """

    generation: int
    maps: Mapping[str, int]
    attached: frozenset[str]
    attach: str
    typed_loads: bool


HELD = ("maps", "programs", "stubs", "links")
"""The members of Loaded that hold descriptors."""


def close(loaded: Loaded) -> None:
    """Let go of a program that has not been put in its place."""
    for descriptor in descriptors_of(loaded):
        os.close(descriptor)


def descriptors_of(loaded: Loaded) -> Iterator[int]:
    """Yield all descriptors, in the order in which they are handed over."""
    for member in HELD:
        yield from getattr(loaded, member).values()
