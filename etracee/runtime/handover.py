"""Hand descriptors and what belongs to them from the compiling process to the monitor."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

_MOST_DESCRIPTORS = 200
"""Descriptors in one message; the kernel takes 253 (SCM_MAX_FD, include/net/scm.h)."""

SHARED_MAPS = (
    "events",
    "config",
    "tracked",
    "ended",
    "other_execs",
    "tracepoints",
    "raw_tracepoints",
)
"""Maps that a program takes over from the one that it replaces."""
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
    """Where a function belongs: into slot `slot` of the map `slots`, from which `stub` calls it."""

    function: str
    slots: str
    slot: int
    stub: str


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


_HELD = ("maps", "programs", "stubs", "links")
"""The members of Loaded that hold descriptors."""


def send(channel: socket.socket, loaded: Loaded) -> None:
    """Send `loaded` over a SOCK_SEQPACKET pair: what it is, then its descriptors."""
    text = json.dumps(asdict(loaded)).encode()
    channel.sendall(str(len(text)).encode())
    for start in range(0, len(text), 60_000):
        channel.sendall(text[start : start + 60_000])
    descriptors = _descriptors(asdict(loaded))
    for start in range(0, len(descriptors), _MOST_DESCRIPTORS):
        socket.send_fds(channel, [b"+"], descriptors[start : start + _MOST_DESCRIPTORS])


def receive(channel: socket.socket) -> Loaded | None:
    """Return what the other end sent, with descriptors of this process; None if it gave up."""
    size = channel.recv(32)
    if not size:
        return None
    text = b""
    while len(text) < int(size):
        text += channel.recv(65_536)
    sent = json.loads(text)
    new: list[int] = []
    while len(new) < len(_descriptors(sent)):
        _, descriptors, _, _ = socket.recv_fds(channel, 1, _MOST_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        new += descriptors
    here = iter(new)
    held = {member: {name: next(here) for name in sent[member]} for member in _HELD}
    places = tuple(Place(**place) for place in sent["places"])
    files, notes = tuple(sent["files"]), tuple(sent["notes"])
    return Loaded(**{**sent, **held, "places": places, "files": files, "notes": notes})


def close(loaded: Loaded) -> None:
    """Let go of a program that has not been put in its place."""
    for descriptor in _descriptors(asdict(loaded)):
        os.close(descriptor)


def _descriptors(loaded: Mapping[str, Mapping[str, int]]) -> Sequence[int]:
    return [descriptor for member in _HELD for descriptor in loaded[member].values()]
