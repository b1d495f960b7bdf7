"""Attacks by other ways than the rules' own commands: sibling calls, relative names, children."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from kernel_run import Etracee, script

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="calls are made by x86-64's numbers"
)

FILES = (
    "sensitive-files",
    "execution",
    "privilege-escalation",
    "credential-access",
    "command-and-control",
    "impact",
)
PREPARED = """
null = ctypes.c_void_p(None)
def in_child(act):
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    os.waitpid(child, 0)
def connected():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener, socket.create_connection(listener.getsockname())
"""

ATTACKS = {
    "shadow-read": """
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
os.chdir("/etc")
os.close(libc.syscall(437, -100, b"../etc/shadow", how, 24))
os.chdir(work)
""",
    "setid-bit-set": """
open("tool", "w").close()
assert libc.syscall(452, -100, b"tool", 0o4711, 0) in (0, -1)
os.chmod("tool", 0o4711)
""",
    "capabilities-set": """
with open("tool") as file: libc.fsetxattr(file.fileno(), b"security.capability", b"x", 1, 0)
""",
    "run-without-a-file": """
fd = libc.memfd_create(b"x", 0)
os.write(fd, open("/bin/true", "rb").read())
vector = (ctypes.c_char_p * 2)(b"kthreadd", None)
in_child(lambda: libc.execveat(fd, b"", vector, null, 0x1000))
""",
    "ptrace-attach": """
child = os.fork()
if child == 0: signal.pause()
assert libc.ptrace(0x4206, child, null, null) == 0
os.kill(child, 9)
os.waitpid(child, 0)
""",
    "reverse-shell": """
def hand_over():
    listener, connection = connected()
    os.close(0)
    libc.dup(connection.fileno())
    libc.dup3(0, 1, 0)
in_child(hand_over)
""",
    "reverse-shell-child": """
import subprocess
listener, connection = connected()
subprocess.run(["/bin/cat", "/etc/hostname"], stdin=connection, stdout=connection)
""",
    "bind-shell": """
def serve():
    listener, connection = connected()
    taken, _ = listener.accept()
    for fd in (0, 1): os.dup2(taken.fileno(), fd)
in_child(serve)
""",
    "dropper": """
where = os.open(work, os.O_PATH)
fd = os.open("new", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=where)
os.write(fd, b"#!/bin/sh\\nexit 0\\n")
os.fchmod(fd, 0o700)
os.close(fd)
in_child(lambda: os.execv("./new", ["new"]))
""",
    "ssh-guessing": """
for _ in range(21): socket.socket().connect_ex(("127.66.66.66", 22))
""",
    "account-files-replaced": """
libc.linkat(-100, b"/nonexistent/file", -100, b"/etc/../etc/sudoers.d/x", 0)
""",
    "disk-written": """
libc.open(b"/dev/sd-nothing", os.O_RDWR)
""",
}
NEAR = """
os.chdir("/etc")
libc.openat(-100, b"../etc/passwd", 0)
os.chdir(work)
open("tool", "w").close()
os.chmod("tool", 0o1711)
libc.ptrace(0x4206, 0x7ffffff0, null, null)
libc.setxattr(b"tool", b"user.capability", b"x", 1, 0)
import subprocess
for _ in range(5):
    listener, connection = connected()
    connection.close()
    quiet = subprocess.DEVNULL
    subprocess.run(["/bin/true"], stdin=quiet, stdout=quiet, stderr=quiet)
    subprocess.run(["/bin/true"], input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
fd = os.open("new", os.O_CREAT | os.O_WRONLY, 0o700)
os.write(fd, b"#!/bin/sh\\nexit 0\\n")
os.close(fd)
in_child(lambda: os.execv("/bin/sh", ["sh", "./new"]))
for _ in range(15): socket.socket().connect_ex(("127.66.66.67", 22))
libc.linkat(-100, b"/etc/sudoers.d/x", -100, b"/nonexistent/file", 0)
libc.open(b"/dev/sd-nothing", os.O_RDONLY)
"""


BESIDES = {"run-from-world-writable", "made-executable-and-run"}
"""Rules of level low that fire too: the workload lies under /tmp, and drops a program."""


def rules_fired(etracee: Etracee, work: Path, acts: str) -> set[str]:
    """Return the rules that fire."""
    command = script(work, f"{PREPARED}\nwork = {str(work)!r}\nos.chdir(work)\n{acts}")
    profile = {"events": {"exit": {}}, "rules": list(FILES)}
    run = etracee.run(profile, *command, options=["--alerts-only"])
    fired = {item["rule"] for item in run.items if item["type"] == "alert"}
    return fired - BESIDES


def test_attacks_fire_their_rules(etracee: Etracee, work: Path) -> None:
    assert rules_fired(etracee, work, "\n".join(ATTACKS.values())) == set(ATTACKS)


def test_what_looks_like_them_does_not(etracee: Etracee, work: Path) -> None:
    assert rules_fired(etracee, work, NEAR) == set()
