"""What the generated decoders ask about the host: one method for each look-up of the catalog."""

from __future__ import annotations

import functools
from pathlib import Path

from etracee.enrich import users
from etracee.enrich.containers import container_of, unit_of
from etracee.enrich.processes import Processes
from etracee.processes import TICK

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Host:
    """The host that records come from. Texts are bytes; None stands for what is not known."""

    def __init__(self) -> None:
        self.processes = Processes()
        self._users, self._groups = users.users(), users.groups()

    def begin_batch(self) -> None:
        """Ask anew for what may have changed since the last batch of records."""
        self._users.expire()
        self._groups.expire()

    @functools.cached_property
    def boot(self) -> bytes:
        """Return a word for this boot of the host: the first part of its boot id, random(4)."""
        return _BOOT_ID.read_bytes().partition(b"-")[0]

    def entity_id(self, pid: int, start: int) -> bytes:
        """Return the id of the process `pid` that started `start` ns after boot."""
        return b"%d-%d-%s" % (pid, start // TICK, self.boot)

    def ancestors(self, pid: int, start: int, parent: int, parent_start: int) -> list[bytes] | None:
        """Return the names of a process's ancestors, the nearest first."""
        return self.processes.ancestors(pid, start, parent, parent_start)

    def user_name(self, uid: int) -> bytes | None:
        """Return the name of a user."""
        return self._users.find(uid)

    def group_name(self, gid: int) -> bytes | None:
        """Return the name of a group."""
        return self._groups.find(gid)

    def container_id(self, cgroup: bytes) -> bytes | None:
        """Return the id of the innermost container that a cgroup belongs to."""
        found = container_of(cgroup)
        return found.id if found else None

    def container_runtime(self, cgroup: bytes) -> bytes | None:
        """Return the runtime of that container."""
        found = container_of(cgroup)
        return found.runtime if found else None

    def systemd_unit(self, cgroup: bytes) -> bytes | None:
        """Return the innermost unit of systemd that a cgroup belongs to, outside of containers."""
        return unit_of(cgroup)
