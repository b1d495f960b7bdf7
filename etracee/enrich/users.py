"""Names of users and groups, from the host's database of them."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable


class Names:
    """Names by number. Each is asked for once, until the file changes that most of them stand in.

    The database is that of the host that etracee runs on, as nsswitch.conf(5) has it: names that
    only a container knows are not in it, and a directory's change is not seen before the file's.
    """

    def __init__(self, file: str, look_up: Callable[[int], str]) -> None:
        """`look_up` raises KeyError for a number without a name."""
        self._file, self._look_up = file, look_up
        self._known: dict[int, bytes | None] = {}
        self._state: object = None
        self._is_expired = True

    def expire(self) -> None:
        """Let the file be looked at when the next name is asked for."""
        self._is_expired = True

    def find(self, number: int) -> bytes | None:
        """Return the name of `number`, None where it has none."""
        if self._is_expired:
            self._refresh()
        try:
            return self._known[number]
        except KeyError:
            if len(self._known) >= _MOST:
                self._known.clear()
            return self._known.setdefault(number, self._ask(number))

    def _refresh(self) -> None:
        """Forget the names, if the file has changed since the last time."""
        self._is_expired = False
        state = _state_of(self._file)
        if state != self._state:
            self._state = state
            self._known.clear()

    def _ask(self, number: int) -> bytes | None:
        try:
            return os.fsencode(self._look_up(number))
        except (KeyError, OSError, OverflowError):
            return None


_MOST = 65536
"""Numbers whose names are kept: any process may take any number, with the right to do so."""


def users() -> Names:
    """Return the names of users."""
    return Names("/etc/passwd", lambda number: pwd.getpwuid(number).pw_name)


def groups() -> Names:
    """Return the names of groups."""
    return Names("/etc/group", lambda number: grp.getgrgid(number).gr_name)


def _state_of(file: str) -> object:
    """Return what is another when the file has been written or replaced, None without a file."""
    try:
        found = os.stat(file)  # noqa: PTH116 - asked for with every batch of records
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
