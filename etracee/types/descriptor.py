"""What lies behind descriptors: files with a path, and others that have a name only in /proc."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from etracee.fragments import Py, py
from etracee.types.path import KernelPath

_FORMS: Mapping[int, Callable[[int, bytes], bytes]] = {
    0x50495045: lambda inode, _: b"pipe:[%d]" % inode,  # PIPEFS_MAGIC
    0x534F434B: lambda inode, _: b"socket:[%d]" % inode,  # SOCKFS_MAGIC
    0x09041934: lambda _, name: b"anon_inode:" + name,  # ANON_INODE_FS_MAGIC
    0x50494446: lambda *_: b"anon_inode:[pidfd]",  # PID_FS_MAGIC, as named since Linux 6.10
}
"""Names in /proc/PID/fd by the magic number of the file system (include/uapi/linux/magic.h).

As in pipefs_dname() of fs/pipe.c, sockfs_dname() of net/socket.c, anon_inodefs_dname() of
fs/anon_inodes.c, pidfs_dname() of fs/pidfs.c.
"""
_HEAD = struct.Struct("<xIQ")


class DescriptorPath(KernelPath):
    """The file behind a descriptor, as readlink(2) of /proc/PID/fd/N names it outside a chroot.

    A path as KernelPath has it, so a removed file has its last name without a mark; or
    `pipe:[INODE]`, `socket:[INODE]`, `anon_inode:[KIND]`, and for a memfd `/memfd:NAME (deleted)`.
    Missing where the descriptor is not open, and for other files without a path.

    In a record: the path; a NUL alone for one that is longer or deeper than the program follows;
    or a NUL, the magic number of the file system (u32), the inode's number (u64), and the name.
    """

    capture = "descriptor_path"

    def decode(self, raw: Py) -> Py:
        """Write the names that are no paths."""
        return py("descriptor.name_of({raw})", raw=raw)


def name_of(raw: bytes) -> bytes | None:
    """Return the name of what lies in a record as `raw`; None where it has none, or was cut."""
    if raw[:1] != b"\0":
        return raw
    if len(raw) < _HEAD.size:
        return None
    magic, inode = _HEAD.unpack_from(raw)
    name = raw[_HEAD.size :]
    if name.startswith(b"memfd:"):
        return b"/" + name + b" (deleted)"
    form = _FORMS.get(magic)
    return form(inode, name) if form else None


TYPES = {"descriptor_path": DescriptorPath}
