"""`path`: against what /proc and the standard library say of the same files.

Each workload makes its calls between two marks, and prints for each what `path` and `path_source`
should be.
"""

from __future__ import annotations

from pathlib import Path

from kernel_paths import check, run_workload
from kernel_run import Etracee, each_attach

FILES = """
os.makedirs(work + b"/a/b")
os.symlink(b"a/b", work + b"/link")
os.chdir(work + b"/a")
odd = b"/" + bytes(set(range(1, 256)) - {0x2f})[:250]
top = os.open(work, os.O_RDONLY)
deep = work + b"/deep" + b"/d" * 60
os.makedirs(deep)
mark()
opened(work + b"/f", os.O_CREAT | os.O_RDWR)
opened(work + b"//link/..//./b/", 0)
opened(b"../link", 0)
opened(b"g", os.O_CREAT)
opened(b"link/new", os.O_CREAT | os.O_WRONLY, top)
opened(b"f", O_PATH, top)
opened(b"/")
opened(b"..", O_PATH)
opened(work + odd, os.O_CREAT)
opened(work + b"/" + b"n" * 255, os.O_CREAT)
opened(deep + b"/end", os.O_CREAT)
opened(b".", os.O_TMPFILE | os.O_RDWR)
opened(b"/proc/self/status")
opened(b"/dev/null")
opened(b"/proc/self/fd/%d" % top, O_PATH)
os.mkdir(b"gone"); os.chdir(b"gone"); gone = opened(b".")
os.rmdir(work + b"/a/gone")
opened(b"/proc/self/fd/%d" % gone, O_PATH)
for fd in (*os.pipe(), os.memfd_create("nowhere")):
    assert openat(b"/proc/self/fd/%d" % fd) >= 0
    tell(None, None)
"""


@each_attach
def test_open_files_lie_where_proc_says(attach: str, etracee: Etracee, work: Path) -> None:
    found, told = run_workload(etracee, work, attach, FILES)
    assert len(told) == 20
    check(found, told)


LONG = """
def down(name, levels):
    "Go down without a path that is too long for a call."
    for _ in range(levels):
        os.mkdir(name); os.chdir(name)

os.chdir(work); os.mkdir(b"long"); os.chdir(b"long"); down(b"n" * 250, 12)
mark()
opened(b"f", os.O_CREAT)
down(b"n" * 250, 3)
opened(b"f", os.O_CREAT)
down(b"n" * 250, 2)
assert openat(b"f", os.O_CREAT) >= 0; lost()
failed(b"no", 2); lost()
failed(b"/no", 2); joined(b"/no")
os.chdir(work); os.mkdir(b"deep"); os.chdir(b"deep"); down(b"d", 80)
opened(b"f", os.O_CREAT)
down(b"d", 60)
assert openat(b"f", os.O_CREAT) >= 0; lost()
assert openat(b"..") >= 0; lost()
"""


@each_attach
def test_what_is_too_long_or_too_deep_is_marked(attach: str, etracee: Etracee, work: Path) -> None:
    found, told = run_workload(etracee, work, attach, LONG)
    check(found, told)


MOUNTS = """
private_mounts()
for name in (b"bound", b"other", b"lazy", b"over"): os.makedirs(work + b"/" + name + b"/x")
def mount(what, on, kind, flags):
    assert libc.mount(what, on, kind, flags, None) == 0, os.strerror(ctypes.get_errno())
mount(work + b"/other", work + b"/bound", None, 0x1000)
mount(b"none", work + b"/over", b"tmpfs", 0)
mount(b"none", work + b"/over", b"tmpfs", 0)
mount(b"none", work + b"/lazy", b"tmpfs", 0)
os.makedirs(work + b"/lazy/sub")
mark()
opened(work + b"/bound/x")
opened(work + b"/bound/f", os.O_CREAT)
opened(work + b"/over/f", os.O_CREAT)
opened(work + b"/bound/../other/f")
os.chdir(work + b"/bound/x")
opened(b"../f")
failed(b"../../over/no", 2); joined(work + b"/over/no")
os.chdir(work + b"/lazy/sub")
opened(b"f", os.O_CREAT)
assert libc.umount2(work + b"/lazy", 2) == 0
assert openat(b"f") >= 0; tell(None, None)
failed(b"no", 2); tell(None, None)
failed(work + b"/no", 2); joined(work + b"/no")
"""


@each_attach
def test_mounts_are_crossed(attach: str, etracee: Etracee, work: Path) -> None:
    found, told = run_workload(etracee, work, attach, MOUNTS)
    check(found, told)


JAIL = """
os.makedirs(work + b"/jail/d")
open(work + b"/jail/d/f", "w").close()
out = os.open(work, os.O_RDONLY)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.chroot(work + b"/jail"); os.chdir(b"/d")
    mark()
    fds = [openat(name) for name in (b"/d/f", b"f", b"../../../d//f", b"/../d")]
    for name in (b"/no", b"no", b"../../../no", b"/../../d/../no"): failed(name, 2)
    failed(b"no/../../..", 2, 0, out)
    libc.unlink(b"../no"); libc.unlink(b"/d/no")
    mark()
    os.write(ready[1], bytes(fds)); os.read(go[0], 1); os._exit(0)
fds = os.read(ready[0], 100)
for fd in fds: tell(os.readlink(b"/proc/%d/fd/%d" % (child, fd)), "kernel")
os.write(go[1], b"."); os.wait()
for name in (b"/no", b"/d/no", b"/no", b"/no"): joined(work + b"/jail" + name)
joined(os.path.dirname(os.path.dirname(work)))
for name in (b"/no", b"/d/no"): joined(work + b"/jail" + name)
mark = lambda: None
"""


@each_attach
def test_a_chroot_shows(attach: str, etracee: Etracee, work: Path) -> None:
    """As the parent outside sees the child's files."""
    found, told = run_workload(etracee, work, attach, JAIL, "openat", "unlink")
    check(found, told)


PIVOT = """
private_mounts()
os.makedirs(work + b"/new/d")
assert libc.mount(work + b"/new", work + b"/new", None, 0x1000, None) == 0
os.chdir(work + b"/new")
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    pivot_root = 155 if os.uname().machine == "x86_64" else 41
    if libc.unshare(0x20000) or libc.syscall(pivot_root, b".", b"."): os._exit(1)
    if libc.umount2(b".", 2): os._exit(2)
    os.chroot(b"/"); os.chdir(b"/d")
    mark()
    fds = [openat(b"/d"), openat(b"f", os.O_CREAT)]
    failed(b"no", 2); failed(b"/no", 2)
    mark()
    os.write(ready[1], bytes(fds)); os.read(go[0], 1); os._exit(0)
fds = os.read(ready[0], 100)
for fd in fds: tell(os.readlink(b"/proc/%d/fd/%d" % (child, fd)), "kernel")
os.write(go[1], b"."); assert os.wait()[1] == 0
joined(b"/d/no"); joined(b"/no")
mark = lambda: None
"""


@each_attach
def test_paths_begin_at_the_root_of_the_mount_namespace(
    attach: str, etracee: Etracee, work: Path
) -> None:
    """In a container, no prefix of the host's shows."""
    found, told = run_workload(etracee, work, attach, PIVOT)
    assert [path for path, *_ in told[:2]] == ["/d", "/d/f"]
    check(found, told)


FAILED = """
os.mkdir(work + b"/d"); os.chdir(work + b"/d")
os.symlink(b"/etc/passwd", b"link")
os.close(os.open(b"secret", os.O_CREAT, 0o600)); os.chmod(work, 0o711); os.chmod(b".", 0o711)
at, no_directory = os.open(work, os.O_RDONLY), os.open(b"secret", os.O_RDONLY)
full = b"/" + b"./" * 2044 + b"no/x"
mark()
for name in (b"no", b"../no//x", b"./d/../no/", work + b"/no/../no", b"/../../no"):
    failed(name, 2); joined(os.path.realpath(name))
failed(b"secret/x", 20); joined(work + b"/d/secret/x")
failed(b"no", 2, 0, at); joined(work + b"/no")
failed(b"../no", 2, 0, at); joined(os.path.dirname(work) + b"/no")
failed(b"link", 40, os.O_NOFOLLOW); joined(work + b"/d/link")
failed(b"", 2); tell(None, None)
failed(b"no", 9, 0, 4000); tell(None, None)
failed(b"no", 20, 0, no_directory); joined(work + b"/d/secret/no")
failed(None, 14); tell(None, None)
failed(ctypes.c_void_p(1), 14); tell(None, None)
failed(full, 2); joined(b"/no/x")
failed(full + b"y" * 100, 36); lost()
failed(b"/no\\xff\\n", 2); joined(b"/no\\xff\\n")
if os.fork() == 0:
    os.setgid(65534); os.setuid(65534)
    failed(b"secret", 13)
    os._exit(0)
assert os.wait()[1] == 0
joined(work + b"/d/secret")
"""


@each_attach
def test_a_failed_open_has_the_joined_path(attach: str, etracee: Etracee, work: Path) -> None:
    """The witness is realpath, for names in which nothing is a symbolic link."""
    for parent in work.parents:
        if not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 1)
    found, told = run_workload(etracee, work, attach, FAILED)
    check(found, told)
