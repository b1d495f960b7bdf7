"""What was measured on this host, in a file that only root can write."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from etracee.files import open_directory, read_file, replace_file
from etracee.inputs import LARGEST, note_file, note_lookup

_DIRECTORY, _NAME = "/var/lib/etracee", "costs.json"
_LATEST = 253402300799
"""The last second of the year 9999."""

FORMAT: Literal[1] = 1
"""Which make of file this is."""

Nanoseconds = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Way = Literal["tracepoint", "raw_tracepoint"]
WAYS: tuple[Way, ...] = ("tracepoint", "raw_tracepoint")
"""How calls are met: at the tracepoints of each, or at the two that all calls pass."""


class HookCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one way of attaching costs, in ns.

    Every call that the host makes pays `exit` and `enter` for what is attached at its two ends;
    one that is watched pays `own` besides, for each.
    """

    exit: Nanoseconds
    enter: Nanoseconds
    own: Nanoseconds


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was found on a host whose kernel was `release` on `machine`, as uname(2) has them.

    `format` tells one make of file from another. `at` counts seconds since the epoch. `hooks` are
    None where others had hooked calls meanwhile. Of the calls that were `counted`, `calls` are
    those that the catalog knows, by the name that their tracepoints have.
    """

    format: Literal[1]
    release: str
    machine: str
    at: Annotated[int, msgspec.Meta(ge=0, le=_LATEST)]
    hooks: Mapping[Way, HookCost] | None
    calls: Mapping[str, Count]
    counted: Count

    def __post_init__(self) -> None:
        if self.hooks is not None and len(self.hooks) < len(WAYS):
            raise ValueError("a way of attaching is missing")
        if sum(self.calls.values()) > self.counted:
            raise ValueError("there are more calls than were counted")

    @property
    def date(self) -> str:
        """Return the day, by the host's clock."""
        return time.strftime("%Y-%m-%d", time.localtime(self.at))


class RefusedError(Exception):
    """There is a file, and it is not used: `reason` says why."""

    def __init__(self, reason: str | None) -> None:
        self.reason = f"{measured_path()} is not used: {reason}"
        super().__init__(self.reason)


def measured_path() -> Path:
    """Return where it lies: where systemd says (systemd.exec(5)), else under /var/lib."""
    directory = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or _DIRECTORY
    return Path(directory).absolute() / _NAME


def read_measured() -> Measured | None:
    """Return what was measured on the kernel that runs, None if nothing was.

    RefusedError where the file is another kernel's, is damaged, or may be another user's.
    """
    path, owners = measured_path(), {0, os.geteuid()}
    try:
        with open_directory(str(path.parent), owners) as directory:
            content = read_file(directory, path.name, owners, LARGEST + 1)
    except OSError as error:
        note_lookup(path, is_there=False)  # what is compiled meanwhile counts while there is none
        if isinstance(error, FileNotFoundError):
            return None
        raise RefusedError(error.strerror) from None
    note_lookup(path, is_there=True)
    note_file(path, content)
    return _decode(content)


def write_measured(measured: Measured) -> None:
    """Write it for whoever reads; OSError where that cannot be."""
    path = measured_path()
    data = msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n"
    with open_directory(str(path.parent), {os.geteuid()}, make=0o755) as directory:
        replace_file(directory, path.name, data, 0o644)


def _decode(content: bytes) -> Measured:
    try:
        measured = msgspec.json.decode(content, type=Measured)
    except msgspec.DecodeError as error:
        raise RefusedError(f"it is cut or damaged: {error}") from None
    here, there = os.uname(), f"Linux {measured.release} {measured.machine}"
    if (measured.release, measured.machine) != (here.release, here.machine):
        this = f"Linux {here.release} {here.machine}"
        raise RefusedError(f"it was measured on {there}, and this is {this}")
    return measured
