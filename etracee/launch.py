"""The new process until it becomes the program, which makes no system call of its own on the way.

Between WAITING and execve(2) nothing is done that the kernel would see: what is needed then is
made before, and what the two processes tell each other stands in memory that they share. A pipe
would not do: the read(2) that ends the wait ends after the process is followed.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import itertools
import mmap
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from etracee.problems import ExitCode

WAITING, RELEASED, FAILED, DISMISSED = range(1, 5)
"""Stages, each set by one side when the other is in the one before: WAITING and FAILED by the new
process, RELEASED and DISMISSED by its parent."""

_SPINS = 1 << 24
"""How often the memory is looked at, about a second: much longer than the parent needs, unless it
has to wait for the very processor, as real-time processes may."""

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and that the command must not inherit as ignored."""


class Board:
    """What the new process and its parent tell each other, in memory that both see."""

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def stage(self) -> int:
        """Return how far the new process has come."""
        return self._bytes[0]

    @stage.setter
    def stage(self, stage: int) -> None:
        self._bytes[0] = stage

    @property
    def error(self) -> int:
        """Return the errno that stands behind FAILED."""
        return self._bytes[1]

    def fail(self, error: int) -> None:
        """Say that the process has not become the program, and why."""
        self._bytes[1] = error
        self.stage = FAILED

    def spin_until(self, stage: int) -> bool:
        """Wait without a system call; say whether the stage was reached in time."""
        seen = self._bytes
        return any(seen[0] == stage for _ in itertools.repeat(None, _SPINS))


def become(
    words: Sequence[str],
    gate: int,
    board: Board,
    stdout: int | None,
    prepare: Callable[[], None] | None,
) -> NoReturn:
    """Become the program when the parent says so on `board`, having written to `gate` before.

    Only a failure ends the process here; what it is stands on the board.
    """
    gc.disable()  # it may close files at any time
    try:
        execute = _get_ready(words, stdout, prepare)
        if not os.read(gate, 1):
            os._exit(ExitCode.INTERNAL)
        board.stage = WAITING
        if not board.spin_until(RELEASED):
            os.read(gate, 1)  # until the parent closes it, or ends
        if board.stage == RELEASED:
            board.fail(execute())
            board.spin_until(DISMISSED)
    finally:
        os._exit(ExitCode.NOT_FOUND)


def _get_ready(
    words: Sequence[str], stdout: int | None, prepare: Callable[[], None] | None
) -> Callable[[], int]:
    """Do all that comes before execve(2); return what makes that call and returns its errno.

    Where something fails already now, its errno is what will be returned.
    """
    try:
        _restore_signals()
        if stdout is not None:
            os.dup2(stdout, 1)
        if prepare is not None:
            prepare()
        return _prepare_execve(words)
    except OSError as error:
        code = error.errno or errno.EIO
        return lambda: code


def _restore_signals() -> None:
    """Leave signals as a shell would."""
    signal.set_wakeup_fd(-1)
    for number in (*_RESTORED, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _prepare_execve(words: Sequence[str]) -> Callable[[], int]:
    """Return what calls execve(2) and nothing else, and returns its errno.

    os.execve() copies arguments and environment first, for which it may need memory.
    OSError where there is nothing to execute, or where a word holds a NUL, which no argument can.
    """
    program = _find(words[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    path = ctypes.c_char_p(os.fsencode(program))
    arguments = _strings(os.fsencode(word) for word in words)
    environment = _strings(b"%b=%b" % item for item in os.environb.items())
    execve = ctypes.PyDLL(None, use_errno=True).execve
    ctypes.set_errno(0)  # the thread's copy is made at its first use

    def execute() -> int:
        execve(path, arguments, environment)
        return ctypes.get_errno()

    return execute


def _find(word: str) -> str | None:
    """Return the program that a shell would run: a word without a slash is looked up on the PATH.

    What is there but cannot be executed is left to execve(2).
    """
    if "/" in word:
        return word
    return shutil.which(word) or shutil.which(word, mode=os.F_OK)


def _strings(texts: Iterable[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """Return a NULL-terminated array of C strings; OSError where one holds a NUL."""
    given = [*texts]
    if any(b"\0" in text for text in given):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return (ctypes.c_char_p * (len(given) + 1))(*given, None)
