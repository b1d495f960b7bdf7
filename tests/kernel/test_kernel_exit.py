"""The end of processes: once each, with the right code or signal."""

from __future__ import annotations

from pathlib import Path

from kernel_run import Etracee, compile_c, script

EXITS = {"context": ["pid", "ppid", "tid", "comm"], "events": {"exit": {}}}


def test_code_or_signal(etracee: Etracee, work: Path) -> None:
    text = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def child(end):
    pid = os.fork()
    if pid == 0:
        end()
        os._exit(99)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    print(pid, code if code >= 0 else signal.Signals(-code).name)
def die_of(number):
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
for code in (0, 1, 127, 128, 255, 256, -1, 0x1234):
    child(lambda: libc._exit(code))
for number in (1, 2, 6, 9, 10, 11, 13, 15, 31):
    child((lambda: os.kill(os.getpid(), 9)) if number == 9 else lambda: die_of(number))
child(lambda: ctypes.string_at(0))
child(lambda: libc.syscall(60, 7) if os.uname().machine == "x86_64" else libc._exit(7))
"""
    run = etracee.run(EXITS, *script(work, text))
    wanted = dict(line.split() for line in run.stdout.decode().splitlines())
    found = {str(event["pid"]): event for event in run.of("exit")}
    assert len(wanted) == 19
    for pid, end in wanted.items():
        code, number = found[pid]["exit_code"], found[pid]["signal"]
        expected = (int(end), None) if end.isdigit() else (None, end)
        assert (code, number) == expected, f"waitpid() said {end}"


def test_the_first_thread_ends_first(etracee: Etracee, work: Path) -> None:
    """A process has ended with its last thread, and is told by its first one."""
    text = f"""
def wait_for_leader():
    stat = f"/proc/self/task/{{os.getpid()}}/stat"
    state = lambda: open(stat).read().rpartition(")")[2].split()[0]
    while state() != "Z":
        signal.sigtimedwait([], 0.001)
    libc.openat(-100, {bytes(work / "leader-is-gone")!r}, 0)
    libc.prctl(15, b"second", 0, 0, 0)
    END
open("/proc/self/comm", "w").write("first")
threading.Thread(target=wait_for_leader).start()
libc.syscall(60 if os.uname().machine == "x86_64" else 93, 5)  # exit of this thread alone
"""
    profile = {**EXITS, "events": {"exit": {}, "openat": {}}}
    for last, codes in (
        ("os._exit(6)", (6,)),
        ("os.kill(os.getpid(), signal.SIGKILL)", (137,)),
        # the last thread's code since Linux 5.18, the first one's before
        ('libc.syscall(60 if os.uname().machine == "x86_64" else 93, 7)', (7, 5)),
    ):
        run = etracee.run(profile, *script(work, text.replace("END", last)), code=None)
        assert run.code in codes
        ended = (None, "SIGKILL") if run.code == 137 else (run.code, None)
        [event] = run.of("exit")
        assert (event["exit_code"], event["signal"]) == ended, f"ended by {last}"
        assert (event["comm"], event["tid"]) == ("first", event["pid"])
        assert run.events[-1]["type"] == "exit", "the exit comes after the last thread's calls"
        assert run.events[-2]["filename"].endswith("/leader-is-gone")


def test_threads_that_end_at_the_same_instant(etracee: Etracee, work: Path) -> None:
    """Two threads can both find that none is left alive: still one event a process."""
    program = compile_c(work, RACE, "-pthread")
    run = etracee.run(EXITS, program)
    wanted = sorted(int(line) for line in run.stdout.split())
    ended = sorted(event["pid"] for event in run.of("exit"))
    assert len(wanted) == 201
    assert ended == wanted, "each process has one exit event"
    assert {(event["exit_code"], event["signal"]) for event in run.of("exit")} == {(0, None)}


RACE = """
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int ready, go;

static void *leave(void *unused)
{
    __sync_fetch_and_add(&ready, 1);
    while (!go)
        ;
    syscall(SYS_exit, 0);
    return unused;
}

int main(void)
{
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (!child) {
            pthread_t thread;
            pthread_create(&thread, NULL, leave, NULL);
            while (!ready)
                ;
            go = 1;
            syscall(SYS_exit, 0);
        }
        waitpid(child, NULL, 0);
        printf("%d\\n", child);
    }
    printf("%d\\n", getpid());
    return 0;
}
"""


def test_processes_that_are_killed_with_all_their_threads(etracee: Etracee, work: Path) -> None:
    text = """
for _ in range(30):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        for _ in range(8):
            threading.Thread(target=signal.pause, daemon=True).start()
        os.write(writer, b"!")
        signal.pause()
    os.read(reader, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print(pid)
"""
    run = etracee.run(EXITS, *script(work, text))
    wanted = [int(line) for line in run.stdout.split()]
    killed = [event for event in run.of("exit") if event["signal"] == "SIGKILL"]
    assert [event["pid"] for event in killed] == wanted
    assert all(event["tid"] == event["pid"] for event in killed)
    assert len(run.of("exit")) == 31
