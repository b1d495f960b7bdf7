"""Paths: where the file lies that a call is on."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import Py, py
from etracee.types.base import Names, Part
from etracee.types.named import Named
from etracee.types.text import Text

SOURCES = Names("source of a path", {"kernel": 0, "joined": 1})
"""Values of path_source."""


class Path(Text):
    """The path of a file, from the root of its mount namespace; a chroot's prefix shows.

    `kernel`: from the kernel's own structures, with every symbolic link followed, as readlink(2) of
    /proc/PID/fd shows it outside a chroot; a removed file has its last name, without a mark. A file
    of another mount namespace is seen from the root of that one. Where a directory is renamed at
    the same moment, its old and its new name can be mixed.

    `joined`: the name that was passed, behind the directory that it starts from, both as they are
    after the call. "." and ".." are taken out of the text alone: symbolic links are not followed,
    nor is openat2(2)'s RESOLVE_IN_ROOT.

    Missing where no path leads to the file (pipes, memfds, what is no longer mounted) and where the
    name cannot be read. Missing, and named in `truncated`, where the name has more than 4095 bytes,
    the kernel's path or the directory's more than 4094, name and directory together more than 7165,
    or where more names and mounts lie on the way than the program follows: 128.

    In a record (templates/bpf/path.c.j2): the kernel's path; or a NUL, the name as it was passed, a
    NUL and the directory's path, in which another NUL ends the part that lies above the root of the
    process; or a NUL alone for what is longer or deeper than the program follows.
    """

    capture = "path"
    most = 7168
    in_c = False

    def __init__(self, source: str, doc: str = "resolved path") -> None:
        """`source` is the name of the part that says how the path was found."""
        super().__init__(doc)
        self.source = source

    @property
    def parts(self) -> Mapping[str, Part]:
        """How the path was found."""
        kind = Named(SOURCES, c="u16")
        doc = f"How {self.source.removesuffix('_source')} was found: kernel, or joined of texts."
        return {self.source: Part(kind, doc, source, None)}

    def decode(self, raw: Py) -> Py:
        """Join what was not found by the kernel."""
        return py("path.resolve({raw})", raw=raw)


class KernelPath(Text):
    """The path of a file that the kernel holds, as Path has it where `path_source` is kernel.

    Missing, and named in `truncated`, where it has more than 2047 bytes: several of them have to
    fit into a record beside what the call names.

    In a record: the path; or a NUL alone for what is longer or deeper than the program follows.
    """

    capture = "kernel_path"
    most = 2047
    in_c = False

    def __init__(self, doc: str = "resolved path") -> None:
        super().__init__(doc)

    def decode(self, raw: Py) -> Py:
        """Take what was not found whole for missing."""
        return py("path.resolve({raw})", raw=raw)


class Joined(bytes):
    """A path that was joined; the kernel's are plain bytes."""

    __slots__ = ()


def resolve(raw: bytes) -> bytes | None:
    """Return the path that lies in a record as `raw`; None where it was not found whole."""
    if raw[:1] != b"\0":
        return raw
    name, _, directory = raw[1:].partition(b"\0")
    if not name:
        return None
    above, passed, below = directory.partition(b"\0")
    return Joined(join(above, below, name) if passed else join(b"", above, name))


def join(root: bytes, directory: bytes, name: bytes) -> bytes:
    """Return `name`, seen from `directory` below `root`, without ".", ".." and needless slashes.

    As in the kernel, ".." does not lead above the root.
    """
    parts: list[bytes] = []
    for part in (directory + b"/" + name).split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"".join((root, *(b"/" + part for part in parts))) or b"/"


def source(path: bytes) -> int:
    """Return how the path was found."""
    return SOURCES["joined" if isinstance(path, Joined) else "kernel"]


TYPES = {"file_path": Path, "kernel_path": KernelPath}
