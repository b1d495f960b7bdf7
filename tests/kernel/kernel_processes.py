"""A profile of the lives of processes, and a workload that makes them, rightly and wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernel_run import compile_c

LIFE: dict[str, Any] = {
    "context": ["pid", "ppid", "tid", "comm", "start_time"],
    "events": {
        "fork": {"fields": ["child_pid", "child_start_time"]},
        "exec": {"fields": ["filename", "interp", "argv", "path", "path_source", "old_tid"]},
        "exit": {"fields": ["exit_code", "signal", "core_dumped", "lifetime_ns"]},
    },
}
"""A profile of the lives of processes."""

Command = Sequence[str | bytes | Path]

_PROGRAM = """
#define _GNU_SOURCE
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(64)));
static int pidfd, parent_tid, child_tid;

static void end(long child)
{
    if (!child)
        _exit(3);
    waitpid(-1, 0, __WALL);
}

static void clone3_(void *args, long size)
{
    end(syscall(SYS_clone3, args, size));
}

int main(void)
{
    unsigned long all[] = {
        SIGCHLD, 0, CLONE_FS | SIGUSR1, CLONE_FILES | 34, 64, 65, 200, 0xff, CLONE_THREAD | SIGCHLD,
        CLONE_NEWPID | CLONE_PARENT | SIGCHLD, CLONE_SIGHAND, CLONE_VM | CLONE_VFORK | SIGCHLD,
    };
    struct clone_args args = {.exit_signal = SIGCHLD}, none = {0};
    char large[200] = {0};

    for (int number = 1; number < 65; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        end(syscall(SYS_clone, all[i], 0, &parent_tid, &child_tid, 0));
    clone3_(&args, sizeof(args));
    args.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    args.pidfd = (long)&pidfd;
    args.parent_tid = (long)&parent_tid;
    args.child_tid = (long)&child_tid;
    clone3_(&args, 64);
    args = none;
    args.exit_signal = 300;
    clone3_(&args, sizeof(args));
    args.exit_signal = 0;
    args.flags = CLONE_NEWTIME | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND;
    args.cgroup = -1;
    clone3_(&args, sizeof(args));
    args.flags = CLONE_VM | CLONE_VFORK | CLONE_SETTLS;
    args.stack = (long)stack;
    args.stack_size = 12;
    args.tls = 5;
    args.exit_signal = SIGTERM;
    clone3_(&args, sizeof(args));
    clone3_(0, sizeof(args));
    memcpy(large, &(struct clone_args){.exit_signal = SIGCHLD}, sizeof(args));
    clone3_(large, sizeof(large));
    large[150] = 1;
    clone3_(large, sizeof(large));
    if (!vfork())
        _exit(0x1234);
    wait(0);
    return 77;
}
"""


def make_processes(work: Path) -> Command:
    """Return the command, which ends with 77."""
    return (compile_c(work, _PROGRAM),)
