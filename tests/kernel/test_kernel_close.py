"""Which file a close closes, taken at its entry: against readlink of /proc/self/fd before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kernel_run import Etracee, each_attach, script

from etracee.catalog import load_catalog

OPENED = """
import json
def told(fd):
    there = os.path.lexists(f"/proc/self/fd/{fd}")
    print(json.dumps([fd, os.readlink(f"/proc/self/fd/{fd}") if there else None]), flush=True)
    libc.close(fd)
"""


@each_attach
@pytest.mark.parametrize("timed", [[], ["duration_ns"]], ids=["alone", "timed"])
def test_files_as_readlink_shows_them(
    etracee: Etracee, work: Path, attach: str, timed: list[str]
) -> None:
    text = f"""{OPENED}
there = {str(work)!r} + "/"
pipe = os.pipe()
for fd in (
    os.open(there + "made", os.O_CREAT | os.O_WRONLY), os.open(there, os.O_RDONLY),
    os.open("/dev/null", 0), pipe[0], socket.socket().detach(), os.memfd_create("some name"),
):
    told(fd + 100 if libc.dup2(fd, fd + 100) >= 0 else fd)
told(999)
"""
    about = {"fields": ["fd", "fd_path", *timed], "filter": "fd >= 100"}
    profile = {"options": {"attach": attach}, "events": {"close": about}}
    run = etracee.run(profile, *script(work, text))
    wanted = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(wanted) == 7
    found = [event for event in run.of("close") if event["ret"] == 0 or event["fd"] == 999]
    assert [[event["fd"], event["fd_path"]] for event in found] == wanted
    assert [event["ret"] for event in found] == [0] * 6 + [-9]
    assert all(event["duration_ns"] > 0 for event in found if timed)
    assert "what the entry tells" not in run.stderr


def test_threads_keep_theirs_apart(etracee: Etracee, work: Path) -> None:
    """Each thread has its file, and most of the calls are on one that nobody asks for."""
    text = f"""
def turn(number):
    name = {str(work)!r} + f"/file-{{number}}"
    for _ in range(200):
        fd = os.open(name, os.O_CREAT | os.O_RDONLY)
        os.close(os.open("/dev/null", 0))
        os.close(fd)
threads = [threading.Thread(target=turn, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    profile = {
        "context": ["tid"],
        "filter": f"fd_path startswith {work}/file-",
        "events": {"close": {"fields": ["fd_path"]}},
    }
    run = etracee.run(profile, *script(work, text))
    by_thread: dict[int, list[str]] = {}
    for event in run.of("close"):
        by_thread.setdefault(event["tid"], []).append(event["fd_path"])
    files = sorted((paths[0], len(paths), len({*paths})) for paths in by_thread.values())
    assert files == [(f"{work}/file-{number}", 200, 1) for number in range(4)]


BLOCKED = """
threading.stack_size(65536)
listening = socket.create_server(("127.0.0.1", 0), backlog=2000)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
def block():
    there = socket.create_connection(listening.getsockname())
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    there.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while there.send(bytes(4096)):
            pass
    there.setblocking(True)
    there.close()
def count_blocked():
    about = (open(f"/proc/self/task/{tid}/syscall").read() for tid in os.listdir("/proc/self/task"))
    return sum(text.split()[0] == str(CLOSE) for text in about)
for _ in range(THREADS):
    threading.Thread(target=block, daemon=True).start()
while count_blocked() < THREADS:
    time.sleep(0.05)
os.close(os.open(there, os.O_CREAT))
print(count_blocked(), flush=True)
os._exit(0)
"""
THREADS = 600


def test_who_blocks_many_closes_hides_no_other(etracee: Etracee, work: Path) -> None:
    """Sockets linger for what nobody reads; /proc/PID/task/TID/syscall is the witness."""
    number = load_catalog().events["close"].number
    about = f"CLOSE, THREADS, there = {number}, {THREADS}, {str(work / 'secret')!r}\n"
    text = f"import contextlib, struct, time\n{about}{BLOCKED}"
    profile = {"events": {"close": {"fields": ["fd_path"], "filter": "fd_path endswith secret"}}}
    run = etracee.run(profile, *script(work, text))
    assert int(run.stdout) == THREADS
    assert [event["fd_path"] for event in run.of("close")] == [f"{work}/secret"]
    assert "what the entry tells" not in run.stderr
