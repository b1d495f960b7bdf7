"""Calls for a new image that are under way: as many as there are at once, and none left behind."""

from __future__ import annotations

import struct
from pathlib import Path

from kernel_run import Etracee, compile_c, exact_list

AT_ONCE = 400
"""Below CALLS_UNDER_WAY of etracee/render/cview.py."""
BROKEN = 700
"""More than that."""

WAITING = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *page, *tool;

static int run(void *number)
{
    char *argv[] = {number, page, 0};

    execv(tool, argv);
    _exit(1);
}

/* COUNT TOOL: processes whose execve waits for a page of its arguments, which comes when all do. */
int main(int argc, char **argv)
{
    int count = atoi(argv[1]), status, bad = 0;
    int file = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {UFFD_API, 0, 0};
    static char text[4096] __attribute__((aligned(4096))) = "late";

    tool = argv[2];
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {{(long)page, 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
    if (file < 0 || ioctl(file, UFFDIO_API, &api) || ioctl(file, UFFDIO_REGISTER, &range))
        return 2;
    for (int i = 0; i < count; i++) {
        char *number = malloc(16), *stack = malloc(16384);
        struct uffd_msg message;

        sprintf(number, "%d", i);
        if (clone(run, stack + 16384, CLONE_VM | SIGCHLD, number) < 0)
            return 3;
        if (read(file, &message, sizeof(message)) != sizeof(message))
            return 4;
    }
    struct uffdio_copy copy = {(long)page, (long)text, 4096, 0, 0};
    if (ioctl(file, UFFDIO_COPY, &copy))
        return 5;
    while (wait(&status) > 0)
        bad += status != 0;
    return bad ? 6 : 0;
}
"""

BREAKING = """
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char **words;

static void *run(void *nothing)
{
    execv(words[0], words);
    return nothing;
}

/* COUNT BROKEN TOOL: processes that end within an execve of a thread that is not the first. */
int main(int argc, char **argv)
{
    words = argv + 2;
    for (int i = 0; i < atoi(argv[1]); i++) {
        int status;

        if (!fork()) {
            pthread_t thread;
            pthread_create(&thread, 0, run, 0);
            for (;;)
                pause();
        }
        if (wait(&status) < 0 || !WIFSIGNALED(status))
            return 2;
    }
    return execl(argv[3], "whole", (char *)0);
}
"""


def test_all_that_are_under_way_at_once_are_told(etracee: Etracee, work: Path) -> None:
    waiting = compile_c(work, WAITING)
    profile = {"events": {"execve": {"filter": "filename = /bin/true"}}}
    run = etracee.run(profile, waiting, str(AT_ONCE), "/bin/true")
    found = [exact_list(event, "argv") or [] for event in run.of("execve")]
    wanted = [[str(number).encode(), b"late"] for number in range(AT_ONCE)]
    assert sorted(found) == sorted(wanted)
    assert run.summary["execve"].lost == 0


def write_broken(path: Path) -> Path:
    """Write a program whose only segment has no place in memory: elf(5).

    The kernel finds that when the old image has gone.
    """
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    path.write_bytes(header + struct.pack("<IIQQQQQQ", 1, 5, 0, 1 << 62, 0, 120, 1 << 62, 4096))
    path.chmod(0o755)
    return path


def test_those_that_fail_when_the_old_image_has_gone_leave_nothing(
    etracee: Etracee, work: Path
) -> None:
    broken = write_broken(work / "broken")
    breaking = compile_c(work, BREAKING, "-pthread")
    profile = {"events": {"execve": {}}}
    run = etracee.run(profile, breaking, str(BROKEN), broken, "/bin/true")
    assert run.of("execve")[-1]["argv"] == ["whole"]
    assert len(run.of("execve")) == BROKEN + 2
    assert run.summary["execve"].lost == 0
