"""New images of processes, held against what the programs say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kernel_processes import LIFE
from kernel_run import Etracee, compile_c, exact, exact_list, script

TELL = """
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put(const char *name, const char *from, long size)
{
    printf("\\"%s\\": \\"", name);
    for (long i = 0; i < size; i++)
        printf("%02x", (unsigned char)from[i]);
    printf("\\", ");
}

/* Prints what it is: file, arguments and name, as the kernel has them. */
int main(void)
{
    static char buffer[65536];

    put("exe", buffer, readlink("/proc/self/exe", buffer, sizeof(buffer)));
    FILE *file = fopen("/proc/self/cmdline", "r");
    put("cmdline", buffer, fread(buffer, 1, sizeof(buffer), file));
    file = fopen("/proc/self/comm", "r");
    put("comm", buffer, fread(buffer, 1, sizeof(buffer), file) - 1);
    printf("\\"pid\\": %d}\\n", getpid());
    return 0;
}
"""

EXECS = """
def child(act):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(9)
    os.waitpid(pid, 0)
def of_memory():
    fd = os.memfd_create("in memory", 0)
    os.write(fd, open(tell, "rb").read())
    os.execve(fd, ["memory", ""], {})
def of_thread():
    def go():
        os.write(2, b"thread %d\\n" % threading.get_native_id())
        os.execv(tell, ["threaded"])
    threading.Thread(target=go).start()
    signal.pause()
def in_chroot():
    os.chroot(work)
    os.chdir("/")
    os.execv("/static", ["/static", "jailed"])
vector = lambda *words: (ctypes.c_char_p * (len(words) + 1))(*words, None)
child(lambda: os.execv(tell, ["name", "", "two words", b"\\xff\\n"]))
child(lambda: (os.chdir(work), os.execv("./tell", ["./tell"])))
child(lambda: os.execv(link, ["by link"]))
child(lambda: os.execv(script, ["lost", "kept"]))
child(lambda: os.execv(nested, ["lost", "kept"]))
child(lambda: libc.execve(tell, vector(), None))
child(of_memory)
child(of_thread)
child(lambda: os.execv(tell, ["many"] + ["x" * 100] * 1000))
child(in_chroot)
child(lambda: os.execv("/nonexistent", ["x"]))
"""


@pytest.fixture
def execs(work: Path) -> tuple[str | Path, ...]:
    """Return a command that runs programs in many ways, each of which says what it is."""
    tell = compile_c(work, TELL, name="tell")
    compile_c(work, TELL, "-static", name="static")
    (work / "proc").symlink_to("/nonexistent")
    (work / "link").symlink_to(tell)
    for name, interpreter in (("script", f"{tell} one word"), ("nested", str(work / "script"))):
        (work / name).write_text(f"#!{interpreter}\n")
        (work / name).chmod(0o755)
    files = {"tell": tell, "link": work / "link", "work": work}
    files |= {"script": work / "script", "nested": work / "nested"}
    text = "".join(f"{name} = {bytes(path)!r}\n" for name, path in files.items())
    return script(work, text + EXECS)


def test_images_are_told_as_the_kernel_has_them(
    etracee: Etracee, work: Path, execs: tuple[str | Path, ...]
) -> None:
    profile = {**LIFE, "options": {"max_argv": "4096"}}
    run = etracee.run(profile, *execs)
    told = [json.loads("{" + line) for line in run.stdout.decode().splitlines()]
    images = {event["pid"]: event for event in run.of("exec")}
    assert len(told) == 9
    for wanted in told:
        event = images[wanted["pid"]]
        exe = bytes.fromhex(wanted["exe"])
        assert exact(event, "comm") == bytes.fromhex(wanted["comm"])
        if exe.startswith(b"/memfd:"):
            assert event["path"] is None
        else:
            assert exact(event, "path") == exe
            assert event["path_source"] == "kernel"
        line = b"".join(word + b"\0" for word in exact_list(event, "argv") or [])
        cmdline = bytes.fromhex(wanted["cmdline"])
        if "truncated" in event:
            assert event["truncated"] == ["argv"]
            assert line.removesuffix(b"\0") == cmdline[:4096]
        else:
            assert line == cmdline


def test_names_and_interpreters_of_images(
    etracee: Etracee, work: Path, execs: tuple[str | Path, ...]
) -> None:
    run = etracee.run(LIFE, *execs)
    tell, scripts = bytes(work / "tell"), [bytes(work / name) for name in ("script", "nested")]
    names = [exact(event, "filename") for event in run.of("exec")[1:]]
    assert names[:6] == [tell, b"./tell", bytes(work / "link"), *scripts, tell]
    assert (names[6] or b"").startswith(b"/dev/fd/")
    assert names[7:] == [tell, tell, b"/static"]
    interpreters = [exact(event, "interp") for event in run.of("exec")[1:]]
    assert interpreters[3:5] == [tell, tell], "of a script of a script, the last one"
    assert set(interpreters[:3] + interpreters[5:]) == {None}
    jailed = run.of("exec")[-1]
    assert exact(jailed, "path") == bytes(work / "static"), "the root's own path shows"


def test_the_thread_that_becomes_the_process(
    etracee: Etracee, execs: tuple[str | Path, ...]
) -> None:
    """A thread that is not the first takes over the id of the first one, and its start."""
    run = etracee.run(LIFE, *execs)
    [thread] = [int(line.split()[1]) for line in run.stderr.splitlines() if line[:7] == "thread "]
    [image] = [event for event in run.of("exec") if event["argv"] == ["threaded"]]
    assert image["old_tid"] == thread != image["pid"] == image["tid"]
    others = [event for event in run.of("exec") if event != image]
    assert [(e["pid"], e["old_tid"]) for e in others] == [(e["pid"], e["tid"]) for e in others]
    own = [event for event in run.events if event["pid"] == image["pid"]]
    assert [event["type"] for event in own] == ["exec", "exit"]
    assert len({event["start_time"] for event in own}) == 1


@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_an_image_and_the_call_that_brought_it(
    etracee: Etracee, execs: tuple[str | Path, ...], attach: str
) -> None:
    """Side by side: exec has the image's name and arguments, execve the caller's."""
    profile = {**LIFE, "options": {"attach": attach}}
    profile["events"] = {"exec": {"fields": ["argv"]}, "execve": {"fields": ["argv", "path"]}}
    profile["events"]["execveat"] = {"fields": ["argv", "path"]}
    run = etracee.run(profile, *execs)
    calls = run.of("execve", "execveat")
    assert [call["ret"] for call in calls] == [0] * 11 + [-2]
    images = {image["pid"]: image for image in run.of("exec")}
    assert len(images) == 11
    for call in calls[1:-1]:
        image = images[call["pid"]]
        assert (call["comm"], call["tid"]) != (image["comm"], None)
        assert call["comm"].startswith("python")
    vectors = [(call["argv"], images[call["pid"]]["argv"]) for call in calls[4:6]]
    tell = str(execs[-1]).replace("workload.py", "tell")
    script_, nested = (tell.replace("tell", name) for name in ("script", "nested"))
    assert vectors == [
        (["lost", "kept"], [tell, "one word", script_, "kept"]),
        (["lost", "kept"], [tell, "one word", script_, nested, "kept"]),
    ]
