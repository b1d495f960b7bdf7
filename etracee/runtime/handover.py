"""Hand descriptors and what belongs to them from the compiling process to the monitor."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict

from etracee.runtime.loaded import HELD, Loaded, Place, descriptors_of

_MOST_DESCRIPTORS = 200
"""Descriptors in one message; the kernel takes 253 (SCM_MAX_FD, include/net/scm.h)."""


def send(channel: socket.socket, loaded: Loaded) -> None:
    """Send `loaded` over a SOCK_SEQPACKET pair: what it is, then its descriptors."""
    text = json.dumps(asdict(loaded)).encode()
    channel.sendall(str(len(text)).encode())
    for start in range(0, len(text), 60_000):
        channel.sendall(text[start : start + 60_000])
    descriptors = list(descriptors_of(loaded))
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
    while len(new) < sum(len(sent[member]) for member in HELD):
        _, descriptors, _, _ = socket.recv_fds(channel, 1, _MOST_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        new += descriptors
    here = iter(new)
    held = {member: {name: next(here) for name in sent[member]} for member in HELD}
    places = tuple(Place(**place) for place in sent["places"])
    files, notes = tuple(sent["files"]), tuple(sent["notes"])
    return Loaded(**{**sent, **held, "places": places, "files": files, "notes": notes})
