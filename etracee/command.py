"""The command after `--`: started stopped, so that nothing of it goes unseen, and waited for."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
from collections.abc import Callable, Sequence

from etracee.problems import ExitCode

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and that the command must not inherit as ignored."""


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
        gate, self._gate = os.pipe()
        self._report, report = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            os.close(self._report)
            _run(words, gate, report, stdout, prepare)
        os.close(gate)
        os.close(report)

    def release(self) -> None:
        """Let the program begin."""
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile; poll() will tell
            os.write(self._gate, b"!")
        os.close(self._gate)
        failure = os.read(self._report, 16)
        os.close(self._report)
        if failure:
            self._failure = int(failure)

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


def _find(word: str) -> str | None:
    """Return the program that a shell would run: a word without a slash is looked up on the PATH.

    What is there but cannot be executed is left to execve(2).
    """
    if "/" in word:
        return word
    return shutil.which(word) or shutil.which(word, mode=os.F_OK)


def _run(
    words: Sequence[str],
    gate: int,
    report: int,
    stdout: int | None,
    prepare: Callable[[], None] | None,
) -> None:
    """Become the program, in the child; only execve(2) happens after the gate opens."""
    try:
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        if stdout is not None:
            os.dup2(stdout, 1)
        if prepare is not None:
            prepare()
        environment = os.environb
        arguments = [os.fsencode(word) for word in words]
        program = _find(words[0])
        if not os.read(gate, 1):
            os._exit(ExitCode.INTERNAL)
        if program is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.execve(os.fsencode(program), arguments, environment)  # noqa: S606
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(ExitCode.NOT_FOUND)
