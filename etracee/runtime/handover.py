"""Hand descriptors and what belongs to them from the compiling process to the monitor."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

_MOST_DESCRIPTORS = 200
"""Descriptors in one message; the kernel takes 253 (SCM_MAX_FD, include/net/scm.h)."""


@dataclass(frozen=True)
class Loaded:
    """A program that runs in the kernel. Closing `attached` detaches it.

    `hooks` names the functions, in the order of `programs`; `files` are those the profile was read
    from; `notes` are for the user.
    """

    maps: Mapping[str, int]
    programs: tuple[int, ...]
    attached: tuple[int, ...]
    hooks: tuple[str, ...]
    profile: str
    version: str | None
    files: tuple[str, ...]
    notes: tuple[str, ...]


def send(channel: socket.socket, loaded: Loaded) -> None:
    """Send `loaded` over a SOCK_SEQPACKET pair: what it is, then its descriptors."""
    text = json.dumps(asdict(loaded)).encode()
    channel.sendall(str(len(text)).encode())
    for start in range(0, len(text), 60_000):
        channel.sendall(text[start : start + 60_000])
    descriptors = _descriptors(loaded)
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
    old = [*sent["maps"].values(), *sent["programs"], *sent["attached"]]
    new: list[int] = []
    while len(new) < len(old):
        _, descriptors, _, _ = socket.recv_fds(channel, 1, _MOST_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        new += descriptors
    here = iter(new)
    return Loaded(
        maps={name: next(here) for name in sent["maps"]},
        programs=tuple(next(here) for _ in sent["programs"]),
        attached=tuple(next(here) for _ in sent["attached"]),
        hooks=tuple(sent["hooks"]),
        profile=sent["profile"],
        version=sent["version"],
        files=tuple(sent["files"]),
        notes=tuple(sent["notes"]),
    )


def _descriptors(loaded: Loaded) -> Sequence[int]:
    return [*loaded.maps.values(), *loaded.programs, *loaded.attached]
