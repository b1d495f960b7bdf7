"""What is looked up: containers and units by the cgroup's path, names by numbers, ancestors."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from etracee.catalog import load_catalog
from etracee.catalog.model import LookUp
from etracee.cli._summary import describe
from etracee.enrich import Host
from etracee.enrich.containers import PATTERNS, container_of, unit_of
from etracee.enrich.processes import FURTHEST, MEMORY, MOST_ENDED, NEAREST, Processes
from etracee.enrich.users import Names
from etracee.processes import TICK, Process, read_processes
from etracee.summary import Summary

ID = b"0123456789abcdef" * 4
OTHER = b"fedcba9876543210" * 4

IN_CONTAINERS = [
    (b"/system.slice/docker-%s.scope" % ID, b"docker", ID),
    (b"/docker/%s" % ID, b"docker", ID),
    (b"/system.slice/containerd.service/system.slice:docker:%s" % ID, b"docker", ID),
    (b"/docker/%s/system.slice/sshd.service" % ID, b"docker", ID),
    (
        b"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/"
        b"cri-containerd-%s.scope" % ID,
        b"containerd",
        ID,
    ),
    (
        b"/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:%s" % ID,
        b"containerd",
        ID,
    ),
    (b"/system.slice/nerdctl-%s.scope" % ID, b"containerd", ID),
    (b"/kubepods.slice/kubepods-pod1.slice/crio-%s.scope/container" % ID, b"cri-o", ID),
    (b"/kubepods/burstable/pod1/crio-%s" % ID, b"cri-o", ID),
    (b"/machine.slice/libpod-%s.scope" % ID, b"podman", ID),
    (b"/user.slice/user-1.slice/user@1.service/user.slice/libpod-%s.scope/c" % ID, b"podman", ID),
    (b"/libpod_parent/libpod-%s" % ID, b"podman", ID),
    (b"/lxc.payload.web/init.scope", b"lxc", b"web"),
    (b"/lxc/web", b"lxc", b"web"),
    (b"/kubepods/besteffort/pod1/%s" % ID, None, ID),
    (b"/docker/%s/docker/%s" % (OTHER, ID), b"docker", ID),
    (b"/kubepods/pod1/%s/system.slice/docker-%s.scope" % (OTHER, ID), b"docker", ID),
    (b"/docker/%s/kubepods/pod1/%s" % (OTHER, ID), None, ID),
]
OUTSIDE = [
    (b"/", None),
    (b"/system.slice/sshd.service", b"sshd.service"),
    (b"/user.slice/user-1000.slice/session-3.scope", b"session-3.scope"),
    (b"/user.slice/user-1000.slice/user@1000.service/app.slice/vte.scope/x", b"vte.scope"),
    (b"/system.slice", b"system.slice"),
    (b"/system.slice/_cpu.service", b"cpu.service"),
    (b"/system.slice/docker.service", b"docker.service"),
    (b"/docker/%s" % ID[1:], None),
    (b"/docker/%s0" % ID, None),
    (b"/docker/%s" % ID.upper(), None),
    (b"/crio-conmon-%s.scope" % ID, b"crio-conmon-%s.scope" % ID),
    (b"/libpod-conmon-%s.scope" % ID, b"libpod-conmon-%s.scope" % ID),
    (b"/lxc.monitor.web", None),
    (b"/sshd.service.d", None),
]


@pytest.mark.parametrize(("path", "runtime", "number"), IN_CONTAINERS)
def test_container(path: bytes, runtime: bytes | None, number: bytes) -> None:
    found = container_of(path)
    assert found is not None
    assert (found.runtime, found.id) == (runtime, number)
    assert unit_of(path) is None


@pytest.mark.parametrize(("path", "unit"), OUTSIDE)
def test_outside_of_containers(path: bytes, unit: bytes | None) -> None:
    assert container_of(path) is None
    assert unit_of(path) == unit


def test_each_pattern_is_tried() -> None:
    found = {
        pattern
        for pattern in PATTERNS
        for path, _, _ in IN_CONTAINERS
        if re.search(rb"/" + pattern.path + rb"(?:/|$)", path)
    }
    assert found == set(PATTERNS)


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_what_the_catalog_names_are_methods(arch: str) -> None:
    fields = load_catalog(arch).context.values()
    looked_up = [field.origin for field in fields if isinstance(field.origin, LookUp)]
    assert looked_up
    for origin in looked_up:
        code = getattr(Host, origin.method).__code__
        assert code.co_argcount == 1 + len(origin.fields)
    feeds = [event.feeds for event in load_catalog(arch).events.values() if event.feeds]
    assert {feed.method for feed in feeds} == {"forked", "executed", "exited"}
    for feed in feeds:
        code = getattr(Processes, feed.method).__code__
        assert code.co_argcount == 2 + len(feed.fields)


class Database:
    """A file of names, and how often it was asked."""

    def __init__(self, file: Path) -> None:
        self.file, self.asked = file, 0

    def look_up(self, number: int) -> str:
        self.asked += 1
        lines = self.file.read_text(errors="surrogateescape").splitlines()
        return {int(n): name for name, n in (line.split(":") for line in lines)}[number]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    file = tmp_path / "passwd"
    file.write_bytes(b"root:0\nodd\xff:7\n")
    return Database(file)


def test_names_are_asked_for_once(database: Database) -> None:
    names = Names(str(database.file), database.look_up)
    for _ in range(3):
        names.expire()
        assert [names.find(number) for number in (0, 7, 8)] == [b"root", b"odd\xff", None]
    assert database.asked == 3


def test_names_follow_the_file(database: Database) -> None:
    names = Names(str(database.file), database.look_up)
    assert (names.find(0), names.find(8)) == (b"root", None)
    replacement = database.file.with_suffix(".new")
    replacement.write_text("toor:0\neight:8\n")
    replacement.rename(database.file)
    assert names.find(0) == b"root", "within a batch names do not change"
    names.expire()
    assert (names.find(0), names.find(8)) == (b"toor", b"eight")
    database.file.unlink()
    names.expire()
    with pytest.raises(FileNotFoundError):
        database.look_up(0)
    assert names.find(0) is None


def test_numbers_beyond_those_of_users_have_no_name() -> None:
    host = Host()
    assert host.user_name(0xFFFFFFFF) is None
    assert host.group_name(0xFFFFFFFF) is None


def at(ticks: int) -> int:
    """Return a time within that tick, in ns."""
    return ticks * TICK + TICK // 2


@pytest.fixture
def table() -> Processes:
    """Return the table of a host where init has started sshd, and that a shell."""
    table = Processes()
    table.add(
        [
            Process(pid=30, start=9, parent=20, comm=b"sh"),
            Process(pid=1, start=0, parent=0, comm=b"init"),
            Process(pid=20, start=5, parent=1, comm=b"sshd"),
        ]
    )
    return table


NOBODY = 0, 0
Who = tuple[int, int]
"""A process: its id, and the tick of its start."""


def fork(
    table: Processes,
    who: Who,
    comm: bytes,
    child: Who,
    parent: Who = NOBODY,
    thread: int | None = None,
) -> None:
    maker = who[0], at(who[1]), thread or who[0], comm, parent[0], at(parent[1])
    table.forked(at(child[1]), *maker, child[0], at(child[1]))


def execute(table: Processes, who: Who, comm: bytes, parent: Who = NOBODY) -> None:
    table.executed(at(who[1]), who[0], at(who[1]), comm, parent[0], at(parent[1]))


def end(table: Processes, who: Who, time: int) -> None:
    table.exited(time, who[0], at(who[1]))


def ancestors(table: Processes, who: Who, parent: Who = NOBODY) -> list[bytes] | None:
    return table.ancestors(who[0], at(who[1]), parent[0], at(parent[1]))


INIT, SSHD, SHELL = (1, 0), (20, 5), (30, 9)


def test_ancestors_stand_nearest_first(table: Processes) -> None:
    assert ancestors(table, SHELL) == [b"sshd", b"init"]
    assert ancestors(table, INIT) == []


def test_a_number_used_again_is_another_process(table: Processes) -> None:
    again = 30, 10
    assert ancestors(table, again) is None
    fork(table, INIT, b"init", again)
    assert ancestors(table, again) == [b"init"]
    assert ancestors(table, SHELL) is None, "its exit was lost"


def test_who_is_not_known_is_looked_for_below_its_parent(table: Processes) -> None:
    """Its start was lost: who asks for it tells of its parent, and so does what it does."""
    lost, child = (40, 10), (41, 11)
    assert ancestors(table, lost, SHELL) == [b"sh", b"sshd", b"init"]
    execute(table, lost, b"ls")
    assert ancestors(table, lost) is None
    assert ancestors(table, lost, SHELL) == [b"sh", b"sshd", b"init"]
    fork(table, lost, b"ls", child, parent=SHELL)
    assert ancestors(table, lost) == [b"sh", b"sshd", b"init"]
    assert ancestors(table, child) == [b"ls", b"sh", b"sshd", b"init"]


def test_a_child_has_the_names_that_its_ancestors_have_now(table: Processes) -> None:
    make, compiler = (40, 10), (41, 11)
    fork(table, SHELL, b"sh", make)
    execute(table, make, b"make")
    fork(table, make, b"make", compiler)
    execute(table, compiler, b"cc")
    assert ancestors(table, compiler) == [b"make", b"sh", b"sshd", b"init"]
    execute(table, SHELL, b"bash")
    end(table, make, at(12))
    assert ancestors(table, compiler, INIT) == [b"make", b"bash", b"sshd", b"init"]


def test_a_name_that_a_process_gave_itself_is_seen_when_it_forks(table: Processes) -> None:
    child = 40, 10
    fork(table, SHELL, b"worker", child, thread=31)
    assert ancestors(table, child) == [b"sh", b"sshd", b"init"]
    fork(table, child, b"new name", (41, 11))
    assert ancestors(table, (41, 11)) == [b"new name", b"sh", b"sshd", b"init"]


def test_who_made_a_process_is_told_by_its_fork_also_if_proc_showed_it_below_init(
    table: Processes,
) -> None:
    """Its maker had ended when /proc was read, and the fork is read of later."""
    child = 40, 10
    table.add([Process(pid=40, start=10, parent=1, comm=b"ls")])
    assert ancestors(table, child) == [b"init"]
    fork(table, SHELL, b"sh", child)
    assert ancestors(table, child, INIT) == [b"sh", b"sshd", b"init"]


def test_who_has_ended_is_remembered_for_a_while(table: Processes) -> None:
    again = 30, 11
    end(table, SHELL, at(10))
    fork(table, SSHD, b"sshd", again)
    assert ancestors(table, SHELL) == ancestors(table, again) == [b"sshd", b"init"]
    end(table, SSHD, at(10) + MEMORY + 1)
    assert ancestors(table, SHELL) is None
    assert ancestors(table, again) == [b"sshd", b"init"]
    assert table.evicted == 0


def test_only_so_many_that_have_ended_are_remembered(table: Processes) -> None:
    for pid in range(100, 100 + MOST_ENDED + 5):
        fork(table, SHELL, b"sh", (pid, 10))
        end(table, (pid, 10), at(11))
        end(table, (pid, 10), at(11))
    assert table.evicted == 5
    assert ancestors(table, (104, 10)) is None
    assert ancestors(table, (105, 10)) == [b"sh", b"sshd", b"init"]


def test_where_a_long_chain_came_from_stays(table: Processes) -> None:
    maker, name, length = SHELL, b"sh", 10 * (NEAREST + FURTHEST)
    for number in range(length):
        link = 1000 + number, 10
        fork(table, maker, name, link)
        end(table, maker, at(11))
        maker, name = link, b"link-%d" % number
        execute(table, maker, name)
    found = ancestors(table, maker)
    assert found is not None
    assert len(found) == NEAREST + FURTHEST
    assert found[:2] == [b"link-%d" % (length - 2), b"link-%d" % (length - 3)]
    assert found[-3:] == [b"sh", b"sshd", b"init"]


def test_scan_finds_this_process() -> None:
    table = Processes()
    table.scan()
    own = {process.pid: process for process in read_processes()}
    here, parent = own[os.getpid()], own[os.getppid()]
    found = ancestors(table, (here.pid, here.start))
    assert found is not None
    assert found[0] == parent.comm == Path(f"/proc/{parent.pid}/comm").read_bytes().rstrip(b"\n")
    assert found[-1] == own[1].comm


def test_what_was_forgotten_is_said() -> None:
    assert "forgotten" not in describe(Summary(), None)
    told = "ended processes forgotten early, since they were many: 5"
    assert told in describe(Summary(forgotten=5), None)
