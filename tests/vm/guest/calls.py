"""Makes calls that leave nothing to chance, between the opens of `begin` and of `end`."""

import ctypes
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
HERE = -100
O_CLOEXEC = SOCK_CLOEXEC = 0o2000000
os.chdir(sys.argv[1])
libc.openat(HERE, b"begin", 0)
libc.mkdirat(HERE, b"d", 0o750)
fd = libc.openat(HERE, b"d/made", os.O_CREAT | os.O_RDWR | os.O_EXCL | os.O_NOFOLLOW, 0o640)
libc.openat(HERE, b"d/made", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o640)
libc.openat(HERE, b"d/made/below", os.O_RDONLY | os.O_DIRECTORY)
libc.openat(HERE, b"no\n\xff such", O_CLOEXEC)
libc.openat(HERE, b"", 0)
libc.openat(HERE, ctypes.c_void_p(8), 0)
libc.openat(HERE, b"/../..//etc/./passwd", 0)
libc.fchmod(fd, 0o600)
libc.renameat2(HERE, b"d/made", HERE, b"d/renamed", 1)
libc.linkat(HERE, b"d/renamed", HERE, b"d/linked", 0)
libc.symlinkat(b"renamed", HERE, b"d/soft")
libc.openat(HERE, b"d/soft", os.O_NOFOLLOW)
libc.unlinkat(HERE, b"d/soft", 0)
libc.unlinkat(HERE, b"d/soft", 0)
libc.memfd_create(b"in memory", 1)
four = b"\2\0\0\x09\x7f\0\0\1".ljust(16, b"\0")
six = b"\x0a\0\0\x09\0\0\0\0" + bytes(15) + b"\1" + bytes(4)
libc.connect(libc.socket(2, 1, 0), four, 16)
libc.connect(libc.socket(10, 2, 0), six, 28)
server = libc.socket(1, 1 | SOCK_CLOEXEC, 0)
libc.bind(server, b"\1\0\0of the test", 14)
libc.listen(server, 4)
libc.connect(libc.socket(1, 1, 0), b"\1\0\0of the test", 14)


def child(argv, number=0):
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(15, b"a child's name", 0, 0, 0)
        os.write(writable, b"!")
        if argv is None:
            libc.pause()
        vector = (ctypes.c_char_p * (len(argv) + 1))(*argv, None)
        nothing = (ctypes.c_char_p * 1)(None)
        libc.execve(b"/nowhere/program", vector, nothing)
        libc.execve(b"/bin/busybox", vector, nothing)
        os._exit(99)
    os.read(readable, 1)
    os.close(readable)
    os.close(writable)
    if number:
        libc.kill(pid, number)
    os.waitpid(pid, 0)


child([b"busybox", b"true", b"", b"an argument"])
child([b"false"])
child(None, 15)
libc.setuid(12345)
libc.setuid(0)
libc.openat(HERE, b"/proc/1/mem", 0)
libc.openat(HERE, b"end", 0)
os._exit(3)
