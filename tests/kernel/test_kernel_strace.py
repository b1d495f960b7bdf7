"""strace on the same run is the witness: the same calls, arguments and results, and no others."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from kernel_failing_calls import change_nothing
from kernel_run import Etracee, Event, Run, exact, exact_list, needs_tool, script
from kernel_strace import ARGUMENTS, LEGACY, OPTIONS, Call, fields_of, read_calls

HERE = [name for name in ARGUMENTS if platform.machine() == "x86_64" or name not in LEGACY]
WATCHED = HERE[: HERE.index("setgid") + 1]
"""What programs do every day; the others are watched by a test of their own."""

_PARTS = {"address": ["family", "addr", "port", "sun_path"], "how": ["flags", "mode"]}
"""Arguments of which the parts are shown."""


def profile_of(names: Sequence[str], max_string: int) -> dict[str, object]:
    """Return a profile that shows the arguments of the calls."""
    return {
        "context": ["pid", "ppid", "tid", "comm"],
        "options": {"max_string": str(max_string), "max_argv": "2048"},
        "events": {
            name: {"fields": [part for a in ARGUMENTS[name] for part in _PARTS.get(a, [a])]}
            for name in names
        },
    }


_TEXTS = (
    "filename", "sun_path", "uname", "oldname", "newname", "xattr_name", "dev_name", "dir_name",
    "fs_type", "new_root", "put_old",
)  # fmt: skip

Command = Sequence[str | Path]


def compile_c(work: Path) -> Command:
    source = work / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    return needs_tool("gcc"), "-O1", "-o", work / "hello", source


def commit_with_git(work: Path) -> Command:
    git = needs_tool("git")
    text = f"""set -e
        export HOME={work} GIT_CONFIG_NOSYSTEM=1
        {git} init -q {work}/repository
        cd {work}/repository
        for number in 1 2 3; do echo $number >file-$number; done
        {git} add .
        {git} -c user.name=Somebody -c user.email=somebody@example.org commit -q -m "three files"
        {git} log --oneline
    """
    return "sh", "-c", text


def ask_package_manager(work: Path) -> Command:
    for words in (("dpkg-query", "--show", "libc*"), ("rpm", "-q", "glibc")):
        try:
            return needs_tool(words[0]), *words[1:]
        except pytest.skip.Exception:
            continue
        except pytest.fail.Exception:
            continue
    return needs_tool("dpkg-query"), "--show"


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


def open_in_threads(work: Path) -> Command:
    return script(
        work,
        f"""
work = {str(work)!r}
def use(number):
    for turn in range(40):
        name = f"{{work}}/thread-{{number}}-{{turn}}"
        with open(name, "w"):
            os.chmod(name, 0o600)
        os.unlink(name)
        try:
            os.open(name, os.O_RDWR)
        except FileNotFoundError:
            pass
threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
def replace_process():
    os.execv("/bin/cat", ["cat", "/etc/hostname"])
if os.fork() == 0:
    threading.Thread(target=replace_process).start()
    signal.pause()
os.wait()
""",
    )


def make_odd_calls(work: Path) -> Command:
    return script(
        work,
        f"""
work = {bytes(work)!r}
at = lambda *arguments: libc.openat(-100, *arguments)
at(work + b"/\\xff\\xfe\\"\\n\\t\\x1b[31m\\\\", 0)
at(b"", 0)
at(None, 0)
at(ctypes.c_void_p(1), 0)
at(ctypes.c_void_p(-8), 0)
at(b"/" + b"a" * 4094, 0)
at(work + b"/new", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_SYNC | os.O_CLOEXEC, 0o4751)
at(work, os.O_TMPFILE | os.O_WRONLY, 0o600)
at(work, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME)
at(work + b"/new", 3 | os.O_DIRECT | os.O_APPEND | os.O_TRUNC | os.O_NONBLOCK | os.O_DSYNC)
at(work + b"/new", os.O_WRONLY | os.O_NOCTTY)
at(work + b"/new", 0x40000000)
libc.openat(os.open("/etc", os.O_RDONLY), b"hostname", os.O_LARGEFILE)
libc.openat(-1, b"x", 0)
libc.open(b"/etc/hostname", 0)
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
libc.syscall(437, -100, b"/etc/hostname", how, 24)
made = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640, 0)
libc.syscall(437, -100, work + b"/made", made, 24)
libc.syscall(437, -100, b"/etc/hostname", None, 24)
libc.syscall(437, -100, b"/etc/hostname", how, 3)
libc.chmod(work + b"/new", 0o1777)
libc.fchmodat(-100, work + b"/new", 0o0, 0)
libc.fchmod(-1, 0o7777)
libc.unlink(None)
libc.unlinkat(-100, work, 0)
libc.unlinkat(-100, work + b"/nothing", 0x200)
libc.memfd_create(b"a \\xff name", 1)
libc.memfd_create(b"", 0x2 | 0x4)
libc.setuid(0); libc.setgid(0)
address = lambda family, *parts: family.to_bytes(2, "little") + b"".join(parts)
port = (4711).to_bytes(2, "big")
addresses = [
    address(2, port, bytes([127, 0, 0, 1]), bytes(8)),
    address(10, port, bytes(4), bytes(15) + b"\\1", bytes(4)),
    address(10, port, bytes(4), bytes(10) + b"\\xff\\xff" + bytes([127, 0, 0, 1]), bytes(4)),
    address(1, work + b"/so\\xc3\\xa9cket\\0"),
    address(1, work + b"/not\\xffutf-8"),
    address(1, b"\\0abstract\\nname\\0x"),
    address(1),
    address(16, bytes(10)),
    address(0, bytes(14)),
]
for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
    fd = libc.socket(kind, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)
    for data in addresses:
        libc.connect(fd, data, len(data))
    libc.connect(fd, addresses[0], 1)
    libc.connect(fd, addresses[0], 0)
    libc.connect(fd, addresses[0], -1)
    libc.connect(fd, addresses[0], 129)
    libc.connect(fd, None, 16)
    libc.connect(fd, ctypes.c_void_p(8), 16)
libc.bind(libc.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0), addresses[3], len(addresses[3]))
libc.bind(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), addresses[0], len(addresses[0]))
child = os.fork()
if child == 0:
    signal.pause()
for number in (*range(66), -1):
    libc.kill(0x7ffffff0, number)
for number in (0, 65, -1, signal.SIGURG, signal.SIGCONT, signal.SIGWINCH):
    libc.kill(child, number)
libc.kill(-child, 9)
libc.tgkill = lambda *arguments: libc.syscall(234, *arguments)
libc.tgkill(child, child, 0)
libc.tgkill(child, child + 1, 10)
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)
vector = lambda *words: (ctypes.c_char_p * (len(words) + 1))(*words, None)
libc.execve(work + b"/\\xe9", vector(b"", b"\\xff", b"a b", b""), vector())
libc.execve(work, vector(), None)
libc.execve(work, None, None)
libc.execve(work, ctypes.c_void_p(1), None)
libc.execve(None, None, None)
libc.execveat(-100, work, vector(b"x"), None, 0x100)
fd = os.open("/bin/true", os.O_RDONLY)
os.set_inheritable(fd, True)
libc.execveat(fd, b"", vector(b"\\xfftrue", b"", b"--"), vector(b"A=1"), 0x1000)
""",
    )


PROGRAMS = (
    compile_c,
    commit_with_git,
    ask_package_manager,
    run_shell_script,
    open_in_threads,
    make_odd_calls,
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_sees_what_strace_sees(
    program: Callable[[Path], Command],
    etracee: Etracee,
    work: Path,
    record_property: Callable[[str, object], None],
) -> None:
    calls, run = run_under_strace(etracee, work, program(work), profile_of(WATCHED, 4096))
    record_property("calls", len(calls))
    compare(calls, run)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="its numbers are those of x86-64")
def test_sees_calls_that_change_nothing(etracee: Etracee, work: Path) -> None:
    """Each call that the catalog knows and strace too is made once at least."""
    rare = ["execve", *HERE[len(WATCHED) :]]
    calls, run = run_under_strace(etracee, work, change_nothing(work), profile_of(rare, 256))
    compare(calls, run)
    assert {call.name for call in calls} == set(rare)


def run_under_strace(
    etracee: Etracee, work: Path, command: Command, profile: dict[str, object]
) -> tuple[list[Call], Run]:
    """Run a command under strace, and strace under etracee; return what both have seen."""
    trace = work / "strace.out"
    watch = ("-e", f"trace={','.join(profile['events'])}")  # type: ignore[arg-type]
    command = (needs_tool("strace"), *OPTIONS, *watch, "-o", trace, *command)
    run = etracee.run(profile, *command, code=None)
    assert trace.exists(), f"strace did not run:\n{run.stderr}"
    calls = read_calls(trace)
    assert calls, f"strace has seen nothing; stderr:\n{run.stderr}"
    assert not any(count.lost for count in run.summary.values()), run.stderr
    return calls, run


def compare(calls: Sequence[Call], run: Run) -> None:
    """Fail with the differences, thread by thread."""
    theirs, ours = defaultdict(list), defaultdict(list)
    for call in calls:
        theirs[call.tid].append(call)
    for event in run.events:
        ours[event["tid"]].append(event)
    strace = run.events[0]["pid"]
    problems = []
    first = calls[0].tid
    ours[first] = from_the_program_on(ours[first])
    for tid, wanted in theirs.items():
        problems += differences(wanted, ours.pop(tid, []))
    # strace's own calls, and those of the children that it tries the kernel with
    others = [e for events in ours.values() for e in events if strace not in (e["pid"], e["ppid"])]
    problems += [f"strace has not seen {describe(event)}" for event in others]
    shown = "\n".join(problems[:20])
    assert not problems, f"{len(problems)} of {len(calls)} calls differ, the first are:\n{shown}"


def from_the_program_on(events: list[Event]) -> list[Event]:
    """Leave out what strace's child does before it becomes the program that is traced."""
    names = [event["type"] for event in events]
    return events[names.index("execve") :]


def differences(calls: Sequence[Call], events: Sequence[Event]) -> list[str]:
    """Return what differs between the calls and the events of one thread."""
    problems = []
    for call, event in zip(calls, events, strict=False):
        wanted, found = view_of_call(call), view_of_event(event, call)
        if wanted != found:
            problems.append(f"thread {call.tid}:\n  strace  {wanted}\n  etracee {found}")
    problems += [f"only strace has {view_of_call(call)}" for call in calls[len(events) :]]
    problems += [f"only etracee has {describe(event)}" for event in events[len(calls) :]]
    return problems


def view_of_call(call: Call) -> dict[str, object]:
    """Return what strace says of a call."""
    view = {"type": call.name, **fields_of(call)}
    return view if call.ret is None else {**view, "ret": call.ret}


def view_of_event(event: Event, call: Call) -> dict[str, object]:
    """Return the same of an event: exact bytes, and names and numbers as they are printed."""
    return {name: view_of_field(event, name) for name in view_of_call(call) if name in event}


def view_of_field(event: Event, name: str) -> object:
    """Return a field's value, texts as bytes and addresses as numbers."""
    if name in _TEXTS:
        return exact(event, name)
    if name == "argv":
        return exact_list(event, name)
    if name == "envp":
        return int(event[name], 16)
    return str(event[name]) if name in ("dfd", "olddfd", "newdfd", "sig") else event[name]


def describe(event: Event) -> str:
    """Return an event in short."""
    hidden = ("timestamp", "human_time", "syscall_id")
    return str({name: value for name, value in event.items() if name not in hidden})
