"""`path`: against what /proc and the standard library say of the same files.

Each workload makes its calls between two marks, and prints for each what `path` and `path_source`
should be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kernel_run import Etracee, Event, Run, exact, lacks, script

from etracee.catalog import load_catalog

TRACING = Path("/sys/kernel/tracing/events/syscalls")

each_attach = pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])

PRELUDE = """
import json
work = os.fsencode(os.path.dirname(os.path.abspath(__file__)))
AT_FDCWD, O_PATH = -100, os.O_PATH
told = []

def mark():
    libc.openat(AT_FDCWD, b"/mark-of-the-test", 0)

def tell(path, source, *more):
    told.append([None if path is None else path.decode("latin-1"), source, *more])

def joined(path):
    tell(path, "joined")

def lost():
    told.append([None, None, "lost"])

def lies(fd):
    "Tell where the open file lies, as /proc has it."
    path = os.readlink(b"/proc/self/fd/%d" % fd)
    tell(path.removesuffix(b" (deleted)"), "kernel")

def openat(name, flags=0, directory=AT_FDCWD):
    return libc.openat(directory, name, flags, 0o600)

def opened(name, flags=0, directory=AT_FDCWD):
    fd = openat(name, flags, directory)
    assert fd >= 0, (name, os.strerror(ctypes.get_errno()))
    lies(fd)
    return fd

def failed(name, error, flags=0, directory=AT_FDCWD):
    assert openat(name, flags, directory) == -1
    assert ctypes.get_errno() == error, os.strerror(ctypes.get_errno())

def private_mounts():
    "Give this process its own mount namespace; nothing of it is seen outside."
    if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
        print("no mount namespace:", os.strerror(ctypes.get_errno()))
        sys.exit(77)
"""

END = """
mark()
print(json.dumps(told))
"""


def run_workload(
    etracee: Etracee, work: Path, attach: str, text: str, *calls: str, more: tuple[str, ...] = ()
) -> tuple[list[Event], list[list[Any]]]:
    """Return the events of `calls` between the marks, and what the workload has told of them."""
    fields = ["path", "path_source"]
    events: dict[str, Any] = {call: {"fields": [*fields, *more]} for call in calls}
    events["openat"] = {"fields": ["filename", *fields]}
    profile = {"options": {"attach": attach}, "events": events}
    run = etracee.run(profile, *script(work, f"{PRELUDE}\n{text}\n{END}"), code=None)
    if run.code == 77:
        lacks(run.stdout.decode())
    assert run.code == 0, run.stderr
    found = between_marks(run)
    return [event for event in found if event["type"] in (calls or ("openat",))], json.loads(
        run.stdout
    )


def between_marks(run: Run) -> list[Event]:
    """Return what was done between the two marks."""
    marks = [
        at for at, event in enumerate(run.events) if event.get("filename") == "/mark-of-the-test"
    ]
    assert len(marks) == 2, f"{len(marks)} marks"
    return run.events[marks[0] + 1 : marks[1]]


def shown(event: Event, name: str = "path") -> list[Any]:
    """Return an event's path as the workloads tell it."""
    path = exact(event, name)
    lost = ["lost"] if name in event.get("truncated", ()) else []
    return [None if path is None else path.decode("latin-1"), event[f"{name}_source"], *lost]


def check(found: list[Event], told: list[list[Any]]) -> None:
    """Compare one by one, so that a failure names the call."""
    assert [shown(event) for event in found] == told, [
        (event["ret"], shown(event), wanted)
        for event, wanted in zip(found, told, strict=False)
        if shown(event) != wanted
    ]


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


NAMED = """
os.makedirs(work + b"/d/e"); os.chdir(work + b"/d")
at = os.open(work, os.O_RDONLY)
file = os.open(b"f", os.O_CREAT | os.O_RDWR)
nowhere = os.memfd_create("nowhere")
here = work + b"/d"
AT_EMPTY_PATH = 0x1000
mark()
libc.chmod(b"e/../f", 0o600); joined(here + b"/f")
libc.fchmod(file, 0o600); lies(file)
libc.fchmod(nowhere, 0o600); tell(None, None)
libc.fchmod(4000, 0o600); tell(None, None)
libc.fchmod(-1, 0o600); tell(None, None)
libc.fchmodat(at, b"./d/f", 0o600, 0); joined(here + b"/f")
libc.truncate(b"f", 0); joined(here + b"/f")
libc.fchownat(file, b"", -1, -1, AT_EMPTY_PATH); lies(file)
libc.fchownat(file, b"", -1, -1, 0); tell(None, None)
libc.fchownat(AT_FDCWD, b"", -1, -1, AT_EMPTY_PATH); tell(here, "kernel")
libc.futimens(file, None); lies(file)
libc.unlink(b"no"); joined(here + b"/no")
libc.unlinkat(at, b"d//no", 0); joined(here + b"/no")
libc.mknodat(at, b"../pipe", 0o10600, 0); joined(os.path.dirname(work) + b"/pipe")
libc.chroot(b"no"); joined(here + b"/no")
assert libc.chroot(b"e") == 0; tell(here + b"/e", "kernel")
assert libc.chroot(b"../" * 20) == 0; tell(b"/", "kernel")
"""
CALLS = (
    *("chmod", "fchmod", "fchmodat", "truncate", "fchownat"),
    *("utimensat", "unlink", "unlinkat", "mknodat", "chroot"),
)


@each_attach
def test_calls_by_name_and_by_descriptor(attach: str, etracee: Etracee, work: Path) -> None:
    found, told = run_workload(etracee, work, attach, NAMED, *CALLS)
    check(found, told)


MOVED = """
os.makedirs(work + b"/d/e"); os.chdir(work + b"/d")
at = os.open(work, os.O_RDONLY)
here = work + b"/d"
def both(old, new):
    joined(old); joined(new)
open(b"f", "w").close()
mark()
libc.link(b"f", b"e/../g"); both(here + b"/f", here + b"/g")
libc.linkat(at, b"d/f", AT_FDCWD, b"h", 0); both(here + b"/f", here + b"/h")
libc.rename(b"g", b"e//i"); both(here + b"/g", here + b"/e/i")
libc.renameat2(AT_FDCWD, b"h", at, b"j", 0); both(here + b"/h", work + b"/j")
libc.rename(b"no", None); joined(here + b"/no"); tell(None, None)
libc.symlink(b"/whatever", b"k"); both(here + b"/k", here + b"/k")
libc.symlinkat(b"../what", at, b"l"); both(work + b"/l", work + b"/l")
"""


@each_attach
def test_calls_with_two_names(attach: str, etracee: Etracee, work: Path) -> None:
    calls = ("link", "linkat", "rename", "renameat", "renameat2", "symlink", "symlinkat")
    more = ("new_path", "new_path_source")
    found, told = run_workload(etracee, work, attach, MOVED, *calls, more=more)
    assert [shown(e, name) for e in found for name in ("path", "new_path")] == told


EXECS = """
import shutil, subprocess
os.mkdir(work + b"/d"); os.chdir(work + b"/d")
true = os.path.realpath(shutil.which("true")).encode()
shutil.copy(true, b"plain"); os.symlink(b"plain", b"by-link")
with open(b"script", "w") as file: file.write("#!" + os.fsdecode(true) + "\\n")
os.chmod(b"script", 0o755); os.symlink(b"script", b"link-to-script"); open(b"data", "w").close()
at, plain, text = (os.open(name, os.O_RDONLY) for name in (work, b"plain", b"script"))
for fd in (at, plain, text): os.set_inheritable(fd, True)
memory = os.memfd_create("nowhere", 0); os.write(memory, open(b"plain", "rb").read())
here = work + b"/d"
argv = (ctypes.c_char_p * 2)(b"x", None)

def runs(name, directory=AT_FDCWD, flags=0):
    "In a child; returns whether it ran."
    child = os.fork()
    if child == 0:
        if directory == AT_FDCWD: libc.execve(name, argv, None)
        else: libc.execveat(directory, name, argv, None, flags)
        os._exit(99)
    return os.waitpid(child, 0)[1] == 0

mark()
assert runs(true); tell(true, "kernel")
assert runs(b"./plain"); tell(here + b"/plain", "kernel")
assert runs(work + b"//d/by-link"); tell(here + b"/plain", "kernel")
assert runs(b"script"); joined(here + b"/script")
assert runs(work + b"/./d/link-to-script"); joined(here + b"/link-to-script")
assert runs(b"d/plain", at); tell(here + b"/plain", "kernel")
assert runs(b"d/script", at); joined(here + b"/script")
assert runs(b"", plain, 0x1000); tell(here + b"/plain", "kernel")
assert runs(b"", text, 0x1000); tell(here + b"/script", "kernel")
assert runs(b"", memory, 0x1000); tell(None, None)
assert not runs(b"no"); joined(here + b"/no")
assert not runs(b"../no", at); joined(os.path.dirname(work) + b"/no")
assert not runs(b"data"); joined(here + b"/data")
assert not runs(None); tell(None, None)
"""


@each_attach
def test_programs(attach: str, etracee: Etracee, work: Path) -> None:
    """A program is the file that runs; of a script it is the file named, not the interpreter."""
    found, told = run_workload(
        etracee, work, attach, EXECS, "execve", "execveat", more=("filename", "argv")
    )
    check(found, told)
    assert all(event["argv"] == ["x"] for event in found)


UNTOUCHED = """
import mmap, subprocess
os.chdir(work)
with open(b"script", "w") as file: file.write("#!/bin/sh\\n")
os.chmod(b"script", 0o755)
with open(b"name", "wb") as file: file.write(b"./script".ljust(4096, b"\\0"))
file = os.open(b"name", os.O_RDONLY)
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file, ctypes.c_long(0))
argv = (ctypes.c_char_p * 2)(b"x", None)
mark()
child = os.fork()
if child == 0:
    libc.execve(ctypes.c_void_p(at), argv, None); os._exit(99)
assert os.waitpid(child, 0)[1] == 0
joined(work + b"/script")
"""


@each_attach
def test_a_name_that_was_not_in_memory(attach: str, etracee: Etracee, work: Path) -> None:
    found, told = run_workload(etracee, work, attach, UNTOUCHED, "execve", more=("filename",))
    check(found, told)
    assert [event["filename"] for event in found] == ["./script"]


@each_attach
def test_all_calls_load_together(attach: str, etracee: Etracee) -> None:
    named = [event for event in load_catalog().events.values() if "path" in event.fields]
    events = {
        event.name: {"fields": [name for name in event.fields if name != "ret"]}
        for event in named
        if (TRACING / f"sys_exit_{event.tracepoint}").is_dir()
    }
    run = etracee.run({"options": {"attach": attach}, "events": events}, "cat", "/etc/hostname")
    assert "/etc/hostname" in [event["path"] for event in run.of("openat")]


@each_attach
def test_filters_and_rules_on_paths(attach: str, etracee: Etracee, work: Path) -> None:
    rules = work / "rules.yaml"
    rule = {"id": "by-path", "title": "by path", "events": ["$open"]}
    tests = [
        {"type": "openat", "path": f"{work}/b", "path_source": "joined", "fires": True},
        {"type": "openat", "path": f"{work}/b", "path_source": "kernel", "fires": False},
        {"type": "openat", "path_source": "joined", "fires": False},
    ]
    condition = f"path in ({work}/b, /no) and path_source = joined"
    rules.write_text(json.dumps({"rules": [{**rule, "condition": condition, "tests": tests}]}))
    subprocess.run([sys.executable, "-m", "etracee", "test", rules], check=True)
    profile = {
        "options": {"attach": attach},
        "events": {"openat": {"fields": ["filename"], "filter": f"path startswith {work}/"}},
        "rules": [str(rules)],
    }
    names = ["a", "b", "../no", "./b"]
    text = "os.chdir(os.path.dirname(os.path.abspath(__file__)))\n"
    text += "open('a', 'w').close()\n" + "".join(
        f"libc.openat(-100, {name.encode()!r}, 0)\n" for name in names
    )
    run = etracee.run(profile, *script(work, text))
    assert [event["filename"] for event in run.of("openat")][-4:] == ["a", "a", "b", "./b"]
    fired = [item["events"][0]["filename"] for item in run.items if item["type"] == "alert"]
    assert fired == ["b", "./b"]
