"""The command after `--`: started stopped, so that nothing of it goes unseen, and waited for."""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections.abc import Callable, Sequence

from etracee.launch import DISMISSED, FAILED, RELEASED, WAITING, Board, become
from etracee.problems import ExitCode

_TICK = 0.0002
"""Seconds between looks at what the new process says without a system call."""


class Command:
    """A process that exists, but begins to run the program only at release()."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        stdout: int | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Fork; with `stdout`, what the program prints goes to that descriptor instead.

        `prepare` is called in the new process, before release().
        """
        self.words = words
        self.status: int | None = None
        self._failure: int | None = None
        self._board = Board()
        gate, self._gate = os.pipe()
        self._life, life = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            os.close(self._life)
            become(words, gate, self._board, stdout, prepare)
        os.close(gate)
        os.close(life)

    def release(
        self, follow: Callable[[], None] | None = None, forget: Callable[[], None] | None = None
    ) -> None:
        """Let the program begin.

        All that the process does between `follow`, called first, and the program's first
        instruction is execve(2); `forget` is called before it ends because that failed.
        """
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile; poll() will tell
            os.write(self._gate, b"!")
        if self._reaches(WAITING):
            if follow:
                follow()
            self._board.stage = RELEASED
        os.close(self._gate)
        if self._reaches(FAILED):
            self._failure = self._board.error
            if forget:
                forget()
            self._board.stage = DISMISSED
        os.close(self._life)

    def _reaches(self, stage: int) -> bool:
        """Wait for a stage; False if the process has ended, or become the program, before.

        Both close the other end of a pipe to which nobody writes.
        """
        is_over = False
        while self._board.stage != stage and not is_over:
            is_over = bool(select.select([self._life], [], [], _TICK)[0])
        return self._board.stage == stage

    def poll(self) -> bool:
        """Say whether the process has ended, and keep its status."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if not self.poll():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def exit_code(self) -> int:
        """Return what a shell would: 126 or 127, the program's own code, or 128 + its signal."""
        if self._failure is not None:
            missing = self._failure in (errno.ENOENT, errno.ENOTDIR)
            return ExitCode.NOT_FOUND if missing else ExitCode.CANNOT_EXECUTE
        if self.status is None:
            return ExitCode.OK
        code = os.waitstatus_to_exitcode(self.status)
        return code if code >= 0 else 128 - code

    @property
    def failure(self) -> str | None:
        """Return why the program could not be started, or None."""
        return os.strerror(self._failure) if self._failure is not None else None
