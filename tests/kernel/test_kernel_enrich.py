"""Who a process is: ids that outlive the pid, containers, units and names, against /proc and id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_run import Etracee, lacks, needs_tool, script

OPENAT = {"openat": {"fields": ["filename"]}}
IDS = {"context": ["pid", "entity_id"], "events": OPENAT}
CONTAINERS = {
    "context": ["pid", "cgroup", "container.id", "container.runtime", "systemd.unit"],
    "events": OPENAT,
}
USERS = {"context": ["pid", "uid", "user.name", "group.name"], "events": OPENAT}

START = """
def start_of(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19])
"""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def marked(events: list[dict[str, Any]], mark: str) -> dict[str, Any]:
    [event] = [event for event in events if event["filename"] == mark]
    return event


def test_id_is_that_of_proc(etracee: Etracee, work: Path) -> None:
    text = f"""{START}
def tell(mark):
    libc.openat(-100, mark.encode(), 0)
    print(mark, os.getpid(), start_of(os.getpid()), flush=True)
tell("/main")
thread = threading.Thread(target=tell, args=("/thread",)); thread.start(); thread.join()
for mark in ("/child", "/another"):
    if os.fork() == 0:
        tell(mark)
        os._exit(0)
    os.wait()
"""
    run = etracee.run(IDS, *script(work, text))
    told = [line.split() for line in run.stdout.decode().splitlines()]
    assert len(told) == 4
    boot = BOOT_ID.read_text().partition("-")[0]
    for mark, pid, start in told:
        assert marked(run.events, mark)["entity_id"] == f"{pid}-{start}-{boot}"


def test_a_number_used_again_is_another_process(etracee: Etracee, work: Path) -> None:
    """The next number is set by hand, until nobody else on the host was faster."""
    if not Path("/proc/sys/kernel/ns_last_pid").exists():
        lacks("this kernel was built without CONFIG_CHECKPOINT_RESTORE")
    text = """
import time
ticks = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 10**9
def start_one(mark):
    pid = os.fork()
    if pid == 0:
        if mark: libc.openat(-100, mark % os.getpid(), 0)
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
for turn in range(1000):
    first, then = start_one(b"/first-%d"), ticks()
    while ticks() <= then: pass
    open("/proc/sys/kernel/ns_last_pid", "w").write(str(first - 1))
    if start_one(b"/second-%d") == first:
        print(first)
        break
"""
    run = etracee.run(IDS, *script(work, text))
    pid = int(run.stdout)
    first, second = (marked(run.events, f"/{turn}-{pid}") for turn in ("first", "second"))
    assert first["pid"] == second["pid"] == pid
    assert first["entity_id"] != second["entity_id"]


@pytest.fixture
def hierarchy() -> Iterator[Path]:
    """Make a cgroup of the hierarchy that counts, and remove it with all that is in it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    of_memory = [m[1] for m in mounts if m[2] == "cgroup" and "memory" in m[3].split(",")]
    unified = [m[1] for m in mounts if m[2] == "cgroup2"]
    if not (of_memory or unified):
        lacks("no cgroups are mounted")
    yield from _make_cgroup(Path((of_memory or unified)[0]))


@pytest.fixture
def unified() -> Iterator[Path]:
    """The same in the hierarchy of version 2."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [m[1] for m in mounts if m[2] == "cgroup2"]
    if not roots:
        lacks("no cgroup2 is mounted")
    yield from _make_cgroup(Path(roots[0]))


def _make_cgroup(root: Path) -> Iterator[Path]:
    directory = root / f"etracee-test-{uuid.uuid4().hex}"
    try:
        directory.mkdir()
    except OSError as error:
        lacks(f"no cgroup can be made: {error}")
    yield directory
    for path, _, _ in os.walk(directory, topdown=False):
        Path(path).rmdir()


IN_CGROUP = """
def enter(directory):
    os.makedirs(directory, exist_ok=True)
    open(directory + "/cgroup.procs", "w").write("0")
def own(hierarchies):
    lines = [line.rstrip("\\n").split(":", 2) for line in open("/proc/self/cgroup")]
    paths = {name: path for _, names, path in lines for name in names.split(",")}
    return next(paths[name] for name in hierarchies if name in paths)
"""

ID = "0123456789abcdef" * 4
PLACES = {
    f"system.slice/docker-{ID}.scope": ("docker", ID, None),
    f"docker/{ID}/init.scope": ("docker", ID, None),
    f"kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope": ("containerd", ID, None),
    f"kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope": ("cri-o", ID, None),
    f"machine.slice/libpod-{ID}.scope/container": ("podman", ID, None),
    f"kubepods/besteffort/pod1/{ID}": (None, ID, None),
    "system.slice/etracee-test.service": (None, None, "etracee-test.service"),
    "user.slice/user-1.slice/session-1.scope": (None, None, "session-1.scope"),
    "plain": (None, None, None),
}


def test_container_that_is_gone_before_its_events_are_read(
    hierarchy: Path, etracee: Etracee, work: Path
) -> None:
    """The monitor stands still until processes and cgroups have ended."""
    text = f"""{IN_CGROUP}
hierarchy, *places = sys.argv[1:]
for place in places:
    if os.fork() == 0:
        enter(hierarchy + "/" + place)
        print(own(["memory", ""]), flush=True)
        libc.openat(-100, b"/in/" + place.encode(), 0)
        os._exit(0)
    os.wait()
"""
    running = etracee.start(CONTAINERS)
    running.await_attached(work)
    running.process.send_signal(signal.SIGSTOP)
    words = [*script(work, text), str(hierarchy), *PLACES]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()
    for path, _, _ in os.walk(hierarchy, topdown=False):
        if path != str(hierarchy):
            Path(path).rmdir()
    running.process.send_signal(signal.SIGCONT)
    running.await_output(b"/in/plain")
    run = running.end()
    assert len(told) == len(PLACES)
    for path, (place, (runtime, number, unit)) in zip(told, PLACES.items(), strict=True):
        event = marked(run.events, f"/in/{place}")
        assert event["cgroup"] == path
        assert path.endswith(f"{hierarchy.name}/{place}")
        found = event["container"]["runtime"], event["container"]["id"], event["systemd"]["unit"]
        assert found == (runtime, number, unit)


def test_version_2_counts_where_the_memory_controller_has_nothing(
    unified: Path, etracee: Etracee, work: Path
) -> None:
    text = f"""{IN_CGROUP}
for line in open("/proc/self/mounts"):
    _, root, kind, options, *_ = line.split()
    if kind == "cgroup" and "memory" in options.split(","): enter(root)
enter({str(unified / f"docker-{ID}.scope")!r})
libc.openat(-100, b"/in-version-2", 0)
print(own([""]))
"""
    run = etracee.run(CONTAINERS, *script(work, text))
    event = marked(run.events, "/in-version-2")
    assert event["cgroup"] == run.stdout.decode().rstrip("\n")
    assert event["container"]["id"] == ID


def test_a_deep_cgroup_is_cut_at_its_outer_end(
    hierarchy: Path, etracee: Etracee, work: Path
) -> None:
    """Bytes and names beyond the limits are cut off, and that is said."""
    text = f"""{IN_CGROUP}
for mark, place in ((b"/long", "/" + "/".join(["n" * 200] * 5)), (b"/many", "/n" * 40)):
    directory = {str(hierarchy)!r} + place + "/docker/{ID}"
    enter(directory)
    print(own(["memory", ""]))
    libc.openat(-100, mark, 0)
"""
    run = etracee.run(CONTAINERS, *script(work, text))
    for mark, path in zip(("/long", "/many"), run.stdout.decode().splitlines(), strict=True):
        event = marked(run.events, mark)
        assert event["truncated"] == ["cgroup"]
        assert path.endswith(str(event["cgroup"]))
        assert len(path) > len(str(event["cgroup"])) > 64
        assert event["container"]["id"] == ID
    assert run.summary["openat"].cut == sum("truncated" in event for event in run.events)


def test_filter_by_container_is_decided_in_python(
    hierarchy: Path, etracee: Etracee, work: Path
) -> None:
    text = f"""{IN_CGROUP}
libc.openat(-100, b"/outside", 0)
enter({str(hierarchy / f"docker-{ID}.scope")!r})
libc.openat(-100, b"/inside", 0)
"""
    profile = {**CONTAINERS, "filter": "container.id exists"}
    run = etracee.run(profile, *script(work, text))
    assert [event["filename"] for event in run.events] == ["/inside"]
    words = [sys.executable, "-m", "etracee", "explain", "-p", etracee.write_profile(profile)]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "container.id is looked up in Python" in told


def test_names_are_those_of_id(etracee: Etracee, work: Path) -> None:
    needs_tool("id")
    text = """
import subprocess
for uid, gid in ((0, 0), (65534, 65534), (1, 2), (54321, 54321)):
    if os.fork() == 0:
        os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
        libc.openat(-100, b"/as-%d" % uid, 0)
        os.execvp("sh", ["sh", "-c", "echo $(id -u; id -un; id -gn)"])
    os.wait()
"""
    run = etracee.run(USERS, *script(work, text))
    told = [line.split() for line in run.stdout.decode().splitlines()]
    assert len(told) == 4
    for uid, *names in told:
        event = marked(run.events, f"/as-{uid}")
        found = [name for name in (event["user"]["name"], event["group"]["name"]) if name]
        assert found == [name for name in names if not name.isdecimal()]


def test_names_follow_the_hosts_database(etracee: Etracee, work: Path) -> None:
    """In a mount namespace of its own etracee finds another /etc/passwd, which changes."""
    passwd = work / "passwd"
    passwd.write_text("root:x:0:0::/root:/bin/sh\nbefore:x:54321:54321::/:/bin/sh\n")
    text = """
os.setresuid(54321, 54321, 54321)
for mark in (b"/before", b"/after"):
    sys.stdin.readline()
    libc.openat(-100, mark, 0)
    print(mark.decode(), flush=True)
"""
    running = etracee.start(USERS, preexec_fn=_with_passwd(passwd))
    running.await_attached(work)
    words = script(work, text)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as workload:
        assert workload.stdin is not None
        for mark in (b"/before", b"/after"):
            workload.stdin.write(b"\n")
            workload.stdin.flush()
            running.await_output(b'"%s"' % mark)
            passwd.write_text(passwd.read_text().replace("before", "afterwards"))
    run = running.end()
    assert marked(run.events, "/before")["user"]["name"] == "before"
    assert marked(run.events, "/after")["user"]["name"] == "afterwards"


def _with_passwd(file: Path) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newns, private, bind = 0x20000, 1 << 18 | 1 << 14, 1 << 12

    def enter() -> None:
        failed = libc.unshare(clone_newns) or libc.mount(b"none", b"/", None, private, None)
        if failed or libc.mount(os.fsencode(file), b"/etc/passwd", None, bind, None):
            os._exit(99)

    return enter
