"""Processes from making to end, held against what the kernel and they themselves say."""

from __future__ import annotations

import os
from pathlib import Path

from kernel_processes import LIFE
from kernel_run import Etracee, compile_c, lacks, script

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of the unit in which /proc/PID/stat counts: proc_pid_stat(5), field 22."""
MAKERS = """
#define _GNU_SOURCE
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Prints of each process: its caller's thread, its own id, its parent, when it started in ticks. */
static void tell(long caller, long child)
{
    char path[64], stat[512], *field;
    long parent;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/stat", child);
    file = fopen(path, "r");
    stat[fread(stat, 1, sizeof(stat) - 1, file)] = 0;
    fclose(file);
    field = strrchr(stat, ')') + 4;
    parent = atol(field);
    for (int i = 4; i < 22; i++)
        field = strchr(field, ' ') + 1;
    printf("%ld %ld %ld %ld\\n", caller, child, parent, atol(field));
}

static void end(long child)
{
    siginfo_t info;

    tell(syscall(SYS_gettid), child);
    kill(child, SIGKILL);
    waitid(P_PID, child, &info, WEXITED | __WALL);
}

static void *nothing(void *unused)
{
    return unused;
}

static void *make(void *unused)
{
    struct clone_args plain = {.exit_signal = SIGCHLD};
    char *words[] = {"sleep", "60", 0};
    pid_t child = fork();

    if (!child)
        pause();
    end(child);
    child = syscall(SYS_clone3, &plain, sizeof(plain));
    if (!child)
        pause();
    end(child);
    child = syscall(SYS_clone, CLONE_FS | CLONE_FILES | SIGUSR2, 0, 0, 0, 0);
    if (!child)
        pause();
    end(child);
    posix_spawn(&child, "/bin/sleep", 0, 0, words, 0);
    end(child);
    child = vfork();
    if (!child) {
        tell(getppid(), getpid());
        _exit(0);
    }
    waitpid(child, 0, 0);
    return unused;
}

int main(void)
{
    pthread_t threads[4];

    signal(SIGUSR2, SIG_IGN);
    make(0);
    for (int i = 0; i < 4; i++)
        pthread_create(threads + i, 0, nothing, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    fflush(stdout);
    long child = fork();
    if (!child) {
        /* A sibling: its parent is not who has made it. */
        child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (!child)
            pause();
        tell(getpid(), child);
        fflush(stdout);
        kill(child, SIGKILL);
        _exit(0);
    }
    tell(getpid(), child);
    wait(0);
    wait(0);
    return 0;
}
"""


def test_each_process_is_told_when_it_is_made(etracee: Etracee, work: Path) -> None:
    """Whatever call makes it, and no thread is; who called is told, also where it is no parent."""
    run = etracee.run(LIFE, compile_c(work, MAKERS, "-pthread"))
    wanted = sorted(tuple(map(int, line.split())) for line in run.stdout.decode().splitlines())
    assert len(wanted) == 7
    found = sorted(
        (e["tid"], e["child_pid"], e["child_start_time"] // TICK) for e in run.of("fork")
    )
    assert found == [(caller, child, start) for caller, child, _parent, start in wanted]
    [sibling] = [(caller, parent) for caller, _, parent, _ in wanted if parent != caller]
    assert sibling[1] == run.of("exec")[0]["pid"]


def test_a_process_is_named_for_good(etracee: Etracee, work: Path) -> None:
    """What fork says of a child is what all of the child's own events say."""
    run = etracee.run(LIFE, compile_c(work, MAKERS, "-pthread"))
    for child in run.of("fork"):
        own = [event for event in run.events if event["pid"] == child["child_pid"]]
        assert own
        assert {event["start_time"] for event in own} == {child["child_start_time"]}


ENDS = """
import resource, time
boot = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
os.chdir(work)
def small():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()
def die_of(number):
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
ends = [lambda: os._exit(0x80), lambda: die_of(15), lambda: os.kill(os.getpid(), 9), os.abort,
        lambda: die_of(3), lambda: ctypes.string_at(0), small, lambda: time.sleep(0.2)]
for end in ends:
    before = boot()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        first = boot()
        os.write(writer, b"%d" % first)
        end()
        os._exit(0)
    os.close(writer)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    after, first = boot(), int(os.read(reader, 32))
    _, status = os.waitpid(pid, 0)
    print(pid, status, int(os.WCOREDUMP(status)), before, first, after)
"""


def test_ends(etracee: Etracee, work: Path) -> None:
    """wait(2) says how a process ended, and the clocks around it how long it can have lived."""
    run = etracee.run(LIFE, *script(work, f"work = {bytes(work)!r}\n{ENDS}"))
    rows = [tuple(map(int, line.split())) for line in run.stdout.decode().splitlines()]
    ended = {event["pid"]: event for event in run.of("exit")}
    assert len(rows) == 8
    for pid, status, dumped, before, first, after in rows:
        event = ended[pid]
        assert event["core_dumped"] is bool(dumped), f"wait status {status:#x}"
        assert (event["signal"] is None) == os.WIFEXITED(status)
        end = event["start_time"] + event["lifetime_ns"]
        assert before <= event["start_time"] <= first
        assert first <= end <= after
    if not any(row[2] for row in rows):
        lacks("cores are not dumped here (core_pattern)")
    assert [row[2] for row in rows].count(1) == 3


def test_filters_of_ends(etracee: Etracee, work: Path) -> None:
    """A boolean that the kernel reads stands alone, and can be negated."""
    command = script(work, f"work = {bytes(work)!r}\n{ENDS}")
    for text, wanted in (("core_dumped", {True}), ("not core_dumped and lifetime_ns > 0", {False})):
        profile = {**LIFE, "events": {"exit": {**LIFE["events"]["exit"], "filter": text}}}
        run = etracee.run(profile, *command)
        assert {event["core_dumped"] for event in run.of("exit")} == wanted
        assert run.summary["exit"].seen == 9
        assert run.summary["exit"].filtered + len(run.of("exit")) == 9


def test_the_call_and_what_it_does_have_names_of_their_own(etracee: Etracee, work: Path) -> None:
    """syscall.exit ends a thread; exit is the end of a process."""
    text = """
threads = [threading.Thread(target=lambda: None) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if libc.syscall(57) == 0:
    libc.syscall(60, 0x107)
os.wait()
os._exit(3)
"""
    profile = {
        "events": {
            "syscall.exit": {},
            "exit_group": {},
            "exit": {},
            "syscall.fork": {},
            "fork": {},
        },
        "context": ["pid"],
        "filter": "type in (syscall.exit, syscall.fork) or not type startswith syscall.",
    }
    run = etracee.run(profile, *script(work, text), code=3)
    child = run.of("fork")[0]["child_pid"]
    [made] = run.of("syscall.fork")
    assert (made["ret"], made["child_pid"], made["syscall_id"]) == (child, child, 57)
    calls = run.of("syscall.exit")
    assert [(c["pid"] == child, c["error_code"], c["ret"]) for c in calls][-1] == (
        True,
        0x107,
        None,
    )
    assert len(calls) == 4
    assert [e["exit_code"] for e in run.of("exit")] == [7, 3]
    [last] = run.of("exit_group")
    assert (last["error_code"], last["ret"], last["syscall_id"]) == (3, None, 231)
    only = etracee.run(profile, *script(work, text), code=3, options=["--event", "syscall.exit"])
    assert {event["type"] for event in only.events} == {"syscall.exit"}
