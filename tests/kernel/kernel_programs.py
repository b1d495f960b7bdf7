"""Real programs whose calls are compared with what strace sees of them."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from kernel_run import needs_tool, script

Command = Sequence[str | bytes | Path]


def compile_c(work: Path) -> Command:
    source = work / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    return needs_tool("gcc"), "-O1", "-o", work / "hello", source


def commit_with_git(work: Path) -> Command:
    git = needs_tool("git")
    return shell(
        f"""set -e
        export HOME={work} GIT_CONFIG_NOSYSTEM=1
        {git} init -q {work}/repository
        cd {work}/repository
        for number in 1 2 3; do echo $number >file-$number; done
        {git} add .
        {git} -c user.name=Somebody -c user.email=somebody@example.org commit -q -m "three files"
        {git} log --oneline
        """
    )


def install_package(work: Path) -> Command:
    """A package is built and installed below a directory of its own; one is asked for."""
    dpkg = needs_tool("dpkg")
    tree = work / "package"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        textwrap.dedent("""\
            Package: etracee-sample
            Version: 1.0
            Architecture: all
            Maintainer: Somebody <somebody@example.org>
            Description: files that are put into place
            """)
    )
    for name in ("usr/bin/sample", "etc/sample.conf", "usr/share/doc/sample/copyright"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("sample\n")
    root = work / "installed"
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    return shell(
        f"""set -e
        dpkg-deb --root-owner-group -Zgzip --build {tree} {work}/sample.deb
        {dpkg} --root={root} --log={work}/dpkg.log --force-depends -i {work}/sample.deb
        {dpkg} --root={root} --log={work}/dpkg.log --purge etracee-sample
        dpkg-query --show 'libc*'
        """
    )


def enter_container(work: Path) -> Command:
    """Namespaces of its own and another root, as a container has them."""
    root = work / "root"
    for name in ("bin", "proc", "tmp", "old"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    text = f"mount -t tmpfs none {root}/tmp && mount --bind /usr {root}/old"
    if busybox is not None:
        shutil.copy(busybox, root / "bin/busybox")
        text += f"; chroot {root} /bin/busybox sh -c 'echo inside >/tmp/x; /bin/busybox ls -l /tmp'"
    text += f"; mount -t proc none {root}/proc; hostname inside; umount {root}/tmp; id -u"
    return needs_tool("unshare"), "-m", "-u", "-i", "-n", "-p", "-C", "-f", "sh", "-c", text


def run_shell_script(work: Path) -> Command:
    path = work / "script.sh"
    path.write_text(f"""#!/bin/sh
        cd {work}
        seq 20 | sort -r | (while read line; do echo "<$line>"; done) | grep 1 >ones &
        for name in a "b c" 'd"e'; do
            (umask 077; echo "$name" >"$name"; cat "$name" | tr a-z A-Z)
        done
        wait
        chmod 640 a; rm "b c"; mkdir sub; rmdir sub
        no-such-command 2>/dev/null; ./not-executable 2>/dev/null; /bin/false
        sh -c 'kill -TERM $$'; (exit 7)
        exec env -i sh -c 'echo done; cat /no/such/file 2>/dev/null; exit 0'
    """)
    path.chmod(0o755)
    (work / "not-executable").write_text("")
    return (path,)


def run_threads(work: Path) -> Command:
    return script(
        work,
        f"""
import asyncio, mmap, select, subprocess, tempfile
work = {str(work)!r}
def use(number):
    for turn in range(10):
        name = f"{{work}}/thread-{{number}}-{{turn}}"
        with open(name, "w"):
            os.chmod(name, 0o600)
        os.unlink(name)
        try:
            os.open(name, os.O_RDWR)
        except FileNotFoundError:
            pass
    left, right = socket.socketpair()
    left.sendmsg([b"two", b"parts"])
    right.recvmsg(20)
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.sendall(b"x")
    server.recv(4)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.shutdown(socket.SHUT_RDWR)
threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
async def sleep(): await asyncio.sleep(0.01)
asyncio.run(sleep())
subprocess.run(["true"])
poll, (reader, writer) = select.poll(), os.pipe2(os.O_CLOEXEC)
poll.register(reader, select.POLLIN); poll.poll(1)
select.select([reader], [], [], 0.001)
signal.setitimer(signal.ITIMER_REAL, 5); signal.alarm(0)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); signal.sigpending()
area = mmap.mmap(-1, 8192); area.madvise(mmap.MADV_DONTNEED); area.flush(); area.close()
os.sched_getaffinity(0); os.nice(1); os.times(); os.uname(); os.getgroups(); os.statvfs("/")
def replace_process():
    os.execv("/bin/cat", ["cat", "/etc/hostname"])
if os.fork() == 0:
    threading.Thread(target=replace_process).start()
    signal.pause()
os.wait()
""",
    )


def shell(text: str) -> Command:
    """Return the command that runs a script of the shell."""
    return needs_tool("sh"), "-c", textwrap.dedent(text)


PROGRAMS: tuple[Callable[[Path], Command], ...] = (
    compile_c,
    commit_with_git,
    install_package,
    enter_container,
    run_shell_script,
    run_threads,
)


def run_all(work: Path) -> Command:
    """Return one command for all of them; each has a directory of its own."""
    lines = []
    for program in PROGRAMS:
        directory = work / program.__name__
        directory.mkdir()
        command = directory / "command"
        command.write_bytes(b"\0".join(os.fsencode(word) for word in program(directory)))
        lines.append(f"xargs -0 -a {command} env")
    return shell("\n".join(lines))
