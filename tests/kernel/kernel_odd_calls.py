"""A workload of calls with hostile and rare arguments: odd names, addresses, signals, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kernel_run import script

Command = Sequence[str | Path]


def make_odd_calls(work: Path) -> Command:
    return script(
        work,
        f"""
work = {bytes(work)!r}
at = lambda *arguments: libc.openat(-100, *arguments)
at(work + b"/\\xff\\xfe\\"\\n\\t\\x1b[31m\\\\", 0)
at(b"", 0)
at(None, 0)
at(ctypes.c_void_p(1), 0)
at(ctypes.c_void_p(-8), 0)
at(b"/" + b"a" * 4094, 0)
at(work + b"/new", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_SYNC | os.O_CLOEXEC, 0o4751)
at(work, os.O_TMPFILE | os.O_WRONLY, 0o600)
at(work, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME)
at(work + b"/new", 3 | os.O_DIRECT | os.O_APPEND | os.O_TRUNC | os.O_NONBLOCK | os.O_DSYNC)
at(work + b"/new", os.O_WRONLY | os.O_NOCTTY)
at(work + b"/new", 0x40000000)
libc.openat(os.open("/etc", os.O_RDONLY), b"hostname", os.O_LARGEFILE)
libc.openat(-1, b"x", 0)
libc.open(b"/etc/hostname", 0)
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
libc.syscall(437, -100, b"/etc/hostname", how, 24)
made = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640, 0)
libc.syscall(437, -100, work + b"/made", made, 24)
libc.syscall(437, -100, b"/etc/hostname", None, 24)
libc.syscall(437, -100, b"/etc/hostname", how, 3)
libc.chmod(work + b"/new", 0o1777)
libc.fchmodat(-100, work + b"/new", 0o0, 0)
libc.fchmod(-1, 0o7777)
libc.unlink(None)
libc.unlinkat(-100, work, 0)
libc.unlinkat(-100, work + b"/nothing", 0x200)
libc.memfd_create(b"a \\xff name", 1)
libc.memfd_create(b"", 0x2 | 0x4)
libc.setuid(0); libc.setgid(0)
address = lambda family, *parts: family.to_bytes(2, "little") + b"".join(parts)
port = (4711).to_bytes(2, "big")
addresses = [
    address(2, port, bytes([127, 0, 0, 1]), bytes(8)),
    address(10, port, bytes(4), bytes(15) + b"\\1", bytes(4)),
    address(10, port, bytes(4), bytes(10) + b"\\xff\\xff" + bytes([127, 0, 0, 1]), bytes(4)),
    address(1, work + b"/so\\xc3\\xa9cket\\0"),
    address(1, work + b"/not\\xffutf-8"),
    address(1, b"\\0abstract\\nname\\0x"),
    address(1),
    address(16, bytes(10)),
    address(0, bytes(14)),
]
for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
    fd = libc.socket(kind, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)
    for data in addresses:
        libc.connect(fd, data, len(data))
    libc.connect(fd, addresses[0], 1)
    libc.connect(fd, addresses[0], 0)
    libc.connect(fd, addresses[0], -1)
    libc.connect(fd, addresses[0], 129)
    libc.connect(fd, None, 16)
    libc.connect(fd, ctypes.c_void_p(8), 16)
bound = libc.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
libc.bind(bound, addresses[3], len(addresses[3]))
libc.mmap.restype = ctypes.c_void_p
pages = libc.mmap(None, 8192, 3, 0x22, -1, 0)
libc.mprotect(ctypes.c_void_p(pages + 4096), 4096, 0)
for room in (16, 3, 2, 1):
    end = ctypes.c_void_p(pages + 4096 - room)
    libc.getsockname(bound, end, ctypes.byref(ctypes.c_uint32(room)))
libc.bind(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), addresses[0], len(addresses[0]))
child = os.fork()
if child == 0:
    signal.pause()
for number in (*range(66), -1):
    libc.kill(0x7ffffff0, number)
for number in (0, 65, -1, signal.SIGURG, signal.SIGCONT, signal.SIGWINCH):
    libc.kill(child, number)
libc.kill(-child, 9)
libc.tgkill = lambda *arguments: libc.syscall(234, *arguments)
libc.tgkill(child, child, 0)
libc.tgkill(child, child + 1, 10)
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)
vector = lambda *words: (ctypes.c_char_p * (len(words) + 1))(*words, None)
libc.execve(work + b"/\\xe9", vector(b"", b"\\xff", b"a b", b""), vector())
libc.execve(work, vector(), None)
libc.execve(work, None, None)
libc.execve(work, ctypes.c_void_p(1), None)
libc.execve(None, None, None)
libc.execveat(-100, work, vector(b"x"), None, 0x100)
fd = os.open("/bin/true", os.O_RDONLY)
os.set_inheritable(fd, True)
libc.execveat(fd, b"", vector(b"\\xfftrue", b"", b"--"), vector(b"A=1"), 0x1000)
""",
    )
