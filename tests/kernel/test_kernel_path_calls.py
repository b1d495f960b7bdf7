"""`path` of calls besides open, by name and by descriptor; of programs; and in filters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from kernel_paths import check, run_workload, shown
from kernel_run import Etracee, each_attach, script

from etracee.catalog import load_catalog

TRACING = Path("/sys/kernel/tracing/events/syscalls")

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
os.symlink(b"e", b"link")
for name in b"e", b"..", b"link", b".", b"..":
    assert libc.chdir(name) == 0; tell(os.getcwdb(), "kernel")
libc.chdir(b"no"); joined(here + b"/no")
libc.chroot(b"no"); joined(here + b"/no")
assert libc.chroot(b"e") == 0; tell(here + b"/e", "kernel")
assert libc.chroot(b"../" * 20) == 0; tell(b"/", "kernel")
"""
CALLS = (
    *("chmod", "fchmod", "fchmodat", "truncate", "fchownat"),
    *("utimensat", "unlink", "unlinkat", "mknodat", "chdir", "chroot"),
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
