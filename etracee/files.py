"""Files that etracee keeps for itself: nobody else may have written them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UnusableError(OSError):
    """A directory is not to be used: `strerror` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


class UntrustedError(OSError):
    """Somebody else may have written a file: `strerror` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


@contextlib.contextmanager
def open_directory(path: str, owners: Collection[int], *, make: int | None = None) -> Iterator[int]:
    """Open a directory of one of these users, made with the mode `make` if need be.

    UnusableError where it is not there to be opened, or another user can write to it;
    FileNotFoundError where it is not there at all.
    """
    try:
        if make is not None:
            with contextlib.suppress(FileExistsError):
                Path(path).mkdir(make)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        raise UnusableError("it is no directory, or a symbolic link") from None
    except PermissionError as error:
        raise UnusableError(str(error.strerror)) from None
    try:
        found = os.fstat(descriptor)
        if found.st_uid not in owners:
            raise UnusableError(f"it belongs to user {found.st_uid}")
        if found.st_mode & _OTHERS_WRITE:
            raise UnusableError("others may write to it (chmod go-w)")
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(directory: int, name: str, owners: Collection[int], most: int) -> bytes:
    """Return up to `most` bytes of a file; UntrustedError for what others may have written."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UntrustedError("it is no regular file")
        if found.st_uid not in owners:
            raise UntrustedError(f"it belongs to user {found.st_uid}")
        if found.st_mode & _OTHERS_WRITE:
            raise UntrustedError("others may write to it")
        return file.read(most)


def replace_file(directory: int, name: str, data: bytes, mode: int) -> None:
    """Write a file under another name, and rename it: whoever reads it finds it whole or not."""
    new = f"{os.urandom(8).hex()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(new, flags, mode, dir_fd=directory), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=directory)
        raise
