"""Calls for a new image whose entry was not seen: lost where they are watched, and only then."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kernel_run import Etracee, compile_c, script

WAITING = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *page;

static int run(void *is_at)
{
    char *argv[] = {"true", page, 0}, *none[] = {0};

    if (is_at)
        syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, none, 0);
    else
        syscall(SYS_execve, "/bin/true", argv, none);
    _exit(1);
}

/* An execve and an execveat wait for a page of their arguments, which comes with a byte. */
int main(void)
{
    int file = syscall(SYS_userfaultfd, O_CLOEXEC), status, bad = 0;
    struct uffdio_api api = {UFFD_API, 0, 0};
    static char text[4096] __attribute__((aligned(4096))) = "late";
    struct uffd_msg message;

    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {{(long)page, 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
    if (file < 0 || ioctl(file, UFFDIO_API, &api) || ioctl(file, UFFDIO_REGISTER, &range))
        return 2;
    for (long is_at = 0; is_at < 2; is_at++) {
        char *stack = malloc(16384);

        if (clone(run, stack + 16384, CLONE_VM | SIGCHLD, (void *)is_at) < 0)
            return 3;
        if (read(file, &message, sizeof(message)) != sizeof(message))
            return 4;
    }
    write(1, "!", 1);
    read(0, text + 8, 1);
    struct uffdio_copy copy = {(long)page, (long)text, 4096, 0, 0};
    if (ioctl(file, UFFDIO_COPY, &copy))
        return 5;
    while (wait(&status) > 0)
        bad += status != 0;
    return bad ? 6 : 0;
}
"""


def test_what_was_under_way_is_lost_where_it_is_watched(etracee: Etracee, work: Path) -> None:
    waiting = subprocess.Popen(
        [compile_c(work, WAITING)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert waiting.stdout
        assert waiting.stdout.read(1) == b"!"
        running = etracee.start({"events": {"execve": {}, "openat": {"fields": ["filename"]}}})
        running.await_attached(work)
        waiting.communicate(b"!", timeout=running.patience)
    finally:
        waiting.kill()
        waiting.wait()
    run = running.end()
    assert waiting.returncode == 0
    assert run.summary["execve"].lost == 1


def test_a_call_that_is_not_watched_is_not_lost(etracee: Etracee, work: Path) -> None:
    """On x86 the kernel says of it, in the end, that it was an execve."""
    text = "os.execve(os.open('/bin/true', 0), ['true'], {})"
    run = etracee.run({"events": {"execve": {}}}, *script(work, text), options=["--max-loss", "0"])
    counts = run.summary["execve"]
    assert (counts.seen, counts.lost) == (1, 0)
