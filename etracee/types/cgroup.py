"""Paths of cgroups: where a process stands in the hierarchy that accounts for it."""

from __future__ import annotations

import functools

from etracee.fragments import Py, py
from etracee.types.text import Text


class CgroupPath(Text):
    """The path of a cgroup from the root of its hierarchy, as the host sees it.

    That of the memory controller where version 1 of cgroups has it and gives the process a place
    below the root, else that of version 2. A cgroup that has been removed keeps its path.

    In a record (templates/bpf/cgroup.c.j2): the names, the innermost first, each with a NUL. Where
    they have more than 512 bytes together, or are more than 32, the outermost are cut off.
    """

    capture = "cgroup"
    most = 512
    in_c = False

    def __init__(self, doc: str = "path of a cgroup") -> None:
        super().__init__(doc)

    def decode(self, raw: Py) -> Py:
        """Put the names into their order."""
        return py("cgroup.join({raw})", raw=raw)


@functools.lru_cache(4096)
def join(raw: bytes) -> bytes:
    """Return the path that lies in a record as `raw`."""
    return b"/" + b"/".join(reversed(raw.split(b"\0")[:-1]))


TYPES = {"cgroup_path": CgroupPath}
