"""The built-in workloads: what each does, and which events one operation makes.

Each is a loop that runs in C, through the iterators of itertools: a loop of Python's own costs
about 20 ns more a call, one through ctypes 200 ns. Next to a loop that is compiled from C it adds
30 ns to a getppid() of 165 ns and about as much noise as that loop has itself, and it is there
with and without a tracer, so that the difference is free of it. No compiler is needed.

Only the standard library is imported here, since the worker process imports it.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat, starmap

Loop = Callable[[int], None]
"""Does that many operations."""


@dataclass(frozen=True)
class Workload:
    """A bounded loop. `makes` is what one operation makes at least: events by name.

    `prepare` is entered in the worker process and yields the loop; what the loop needs goes when
    it is left. `calls` names the system calls that must not be watched for it, where
    the workload stands for calls that no profile asked for.
    """

    name: str
    does: str
    makes: Mapping[str, int]
    prepare: Callable[[], AbstractContextManager[Loop]]
    calls: tuple[str, ...] = ()


def choose_workloads(watched: Collection[str]) -> tuple[Workload, ...]:
    """Return an unwatched call, and the workloads that make one of the events `watched`."""
    unwatched = [each for each in WORKLOADS if each.calls and not set(each.calls) & set(watched)]
    return (*unwatched[:1], *(each for each in WORKLOADS if set(each.makes) & set(watched)))


def choose_call(watched: Collection[str]) -> Workload:
    """Return a null call, one that is not among the events `watched` where there is such."""
    calls = [each for each in WORKLOADS if each.calls]
    return next((each for each in calls if not set(each.calls) & set(watched)), calls[0])


def find_workload(does: str) -> Workload:
    """Return the workload that does this: its `does` is what tells one from another."""
    return next(workload for workload in WORKLOADS if workload.does == does)


def _exhaust(iterator: Iterable[object]) -> None:
    deque(iterator, maxlen=0)


@contextmanager
def _call_getppid() -> Iterator[Loop]:
    yield lambda times: _exhaust(starmap(os.getppid, repeat((), times)))


@contextmanager
def _call_getuid() -> Iterator[Loop]:
    yield lambda times: _exhaust(starmap(os.getuid, repeat((), times)))


@contextmanager
def _open_and_close() -> Iterator[Loop]:
    with tempfile.NamedTemporaryFile(prefix="etracee-bench-") as file:
        opened = partial(os.open, file.name)
        yield lambda times: _exhaust(map(os.close, map(opened, repeat(os.O_RDONLY, times))))


@contextmanager
def _fork_exec_and_exit() -> Iterator[Loop]:
    program = shutil.which("true") or "/bin/true"

    def loop(times: int) -> None:
        for _ in repeat(None, times):
            os.waitpid(os.posix_spawn(program, ["true"], {}), 0)

    yield loop


@contextmanager
def _connect() -> Iterator[Loop]:
    """Be refused by a port that is bound but not listened to: no port stays in TIME_WAIT."""
    with socket.socket() as bound, socket.socket() as client:
        bound.bind(("127.0.0.1", 0))
        address = bound.getsockname()
        yield lambda times: _exhaust(map(client.connect_ex, repeat(address, times)))


@contextmanager
def _kill() -> Iterator[Loop]:
    own = os.getpid()
    yield lambda times: _exhaust(map(os.kill, repeat(own, times), repeat(0)))


@contextmanager
def _create_memfd() -> Iterator[Loop]:
    yield lambda times: _exhaust(map(os.close, map(os.memfd_create, repeat("bench", times))))


WORKLOADS = (
    Workload("unwatched call", "getppid()", {}, _call_getppid, calls=("getppid",)),
    Workload("unwatched call", "getuid()", {}, _call_getuid, calls=("getuid",)),
    Workload("open+close", "opens a file in /tmp and closes it", {"openat": 1}, _open_and_close),
    Workload(
        "fork+exec+exit",
        "starts `true` and waits for its end",
        {"execve": 1, "fork": 1, "exec": 1, "exit": 1},
        _fork_exec_and_exit,
    ),
    Workload("connect", "connects to a closed port of 127.0.0.1", {"connect": 1}, _connect),
    Workload("kill", "sends signal 0 to itself", {"kill": 1}, _kill),
    Workload("memfd", "creates a memfd and closes it", {"memfd_create": 1}, _create_memfd),
)
