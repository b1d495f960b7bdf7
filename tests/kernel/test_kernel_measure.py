"""What `etracee doctor --measure` finds on the running kernel, and what becomes of it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from itertools import repeat, starmap
from pathlib import Path

import pytest
from kernel_run import compile_c, lacks, until
from kernel_starts import Starts

from etracee.bench import hooks, host
from etracee.bench.hooks import WATCHED, HookMeter, take_medians
from etracee.bench.host import count_calls
from etracee.bench.stubs import CALLS, Members, find_members
from etracee.catalog import Catalog, load_catalog
from etracee.catalog.measured import (
    FORMAT,
    HookCost,
    Measured,
    measured_path,
    read_measured,
    write_measured,
)
from etracee.cli.doctor import command
from etracee.kernel.assembly import RETURN_0
from etracee.kernel.bpf import attach_raw_tracepoint, load_program
from etracee.kernel.btf import Btf
from etracee.kernel.probe import choose_attachment, find_tracefs

OFTEN = "while True: os.getsid(0)"
INT_0X80 = """
int main(void) {
    for (int i = 0; i < 5000; i++) {
        long number = 20; /* getpid of 32-bit calls, writev of others */
        asm volatile("int $0x80" : "+a"(number) :: "memory");
        if (number <= 0) return 1;
    }
    return 0;
}
"""


@pytest.fixture
def catalog(host: None) -> Catalog:
    if obstacle := choose_attachment("auto", "tracepoint").why:
        lacks(f"calls can be met in one way alone here: {obstacle}")
    return load_catalog()


@pytest.fixture
def members(catalog: Catalog) -> Members:
    with Btf() as btf:
        return find_members(btf, catalog.registers)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the measurement is to be, which takes less time than otherwise."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(host, "COUNTING_SECONDS", 1.0)
    monkeypatch.setattr(hooks, "SECONDS", 0.5)
    return measured_path()


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Do what a tracer does, in the simplest way."""
    program = load_program("raw_tracepoint", RETURN_0)
    descriptor = attach_raw_tracepoint("sys_exit", program)
    try:
        yield
    finally:
        os.close(descriptor)
        os.close(program)


@contextlib.contextmanager
def making(calls: str) -> Iterator[None]:
    """Let a process do that meanwhile; it has begun."""
    code = f"import os; os.write(1, b'x'); {calls}"
    words = [sys.executable, "-I", "-S", "-c", code.replace("; while", "\nwhile")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"x"
            yield
        finally:
            process.kill()


def measure() -> None:
    command.main(["--measure"], standalone_mode=False)


def test_it_is_written_and_used(
    catalog: Catalog, state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with making(OFTEN):
        measure()
    measured, told = read_measured(), capfd.readouterr()
    assert measured is not None
    assert f"etracee: wrote {state}; once it is removed" in told.err
    assert (measured.hooks is None) == ("calls are traced already" in told.err)
    assert sum(measured.calls.values()) <= measured.counted
    assert max(measured.calls, key=lambda name: measured.calls[name]) == "getsid"
    assert f"{measured.counted} calls" in told.out
    assert f"getsid {measured.calls['getsid'] / measured.counted:.1%}" in told.out


def test_hooks_cost_what_they_must(catalog: Catalog, members: Members) -> None:
    """Also where others trace calls, by which hooks seem to cost less than they do."""
    watched, tracefs = catalog.call(WATCHED), find_tracefs()
    assert watched is not None and tracefs is not None
    with HookMeter.prepare(members, watched, tracefs) as meter:
        found = take_medians([meter.measure() for _ in range(5)])
    one, all_ = found["tracepoint"], found["raw_tracepoint"]
    assert one.exit < all_.exit, "a program runs at every call, or at those watched alone"
    assert one.own > all_.own, "at those watched, or it would have run anyway"
    assert all_.enter > 0


def test_who_traces_calls_is_noticed(catalog: Catalog, members: Members) -> None:
    watched, tracefs = catalog.call(WATCHED), find_tracefs()
    assert watched is not None and tracefs is not None

    def is_noticed() -> bool:
        """Before it began, nobody else did."""
        with HookMeter.prepare(members, watched, tracefs) as meter:
            if meter.is_disturbed():
                return False
            with tracing():
                assert meter.is_disturbed()
            return True

    until(is_noticed, "a moment without another tracer")


def test_where_calls_are_traced_hooks_are_not_measured(
    catalog: Catalog, state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tracing():
        measure()
    assert json.loads(state.read_text())["hooks"] is None
    assert "note: calls are traced already" in capfd.readouterr().err


def test_where_there_is_nothing_to_choose(catalog: Catalog, state: Path, tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    places = ("/sys/kernel/tracing", "/sys/kernel/debug")
    without = "".join(f"umount -l {place} 2>/dev/null; " for place in places)
    starts.before = ("unshare", "--mount", "sh", "-c", f'{without} exec "$@"', "sh")
    said = starts.run("doctor", "--measure", code=3).stderr
    assert "calls can be met in one way alone, since tracefs is not mounted" in said
    assert not state.exists()
    starts.clean_up()


def test_calls_are_counted(catalog: Catalog, members: Members) -> None:
    """Of a call that hardly any program makes, and ours so many times."""
    call = catalog.call("getsid")
    assert call is not None and call.number is not None
    with count_calls(members) as read:
        before = read()[call.number]
        deque(starmap(os.getsid, repeat((0,), 20_000)), maxlen=0)
        counted = read()[call.number] - before
    assert 20_000 <= counted < 20_200


def test_32_bit_calls_have_no_name(catalog: Catalog, members: Members, tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        lacks("there is no int 0x80")
    program = compile_c(tmp_path, INT_0X80)
    with count_calls(members) as read:
        if subprocess.run([program], check=False).returncode:
            lacks("this kernel takes no 32-bit calls")
        counts = read()
    assert counts[CALLS] >= 5000
    assert counts[20] < 5000


def test_a_program_is_chosen_and_kept_by_it(
    catalog: Catalog, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nearly all calls are those that are watched, and own programs cost much."""
    starts = Starts(tmp_path)
    profile = tmp_path / "own.yaml"
    profile.write_text("name: own\nevents: {getsid: {}}\n")
    run = ("run", "-p", profile, "--", "true")
    assert "one tracepoint for all calls" not in starts.run(*run).stderr
    assert starts.is_kept("-p", profile)
    system = os.uname()
    write_measured(
        Measured(
            format=FORMAT,
            release=system.release,
            machine=system.machine,
            at=0,
            hooks={"tracepoint": HookCost(30, 10, 500), "raw_tracepoint": HookCost(100, 80, 10)},
            calls={"getsid": 10**6},
            counted=10**6,
        )
    )
    assert not starts.is_kept("-p", profile), "it was compiled by the catalog's figures"
    assert "one tracepoint for all calls is used: adds about" in starts.run(*run).stderr
    said = starts.run("explain", "-p", profile).stdout.decode()
    assert "attached by raw_tracepoint: adds about " in said
    assert "(as measured on this host on 19" in said
    state.write_text("{}")
    said = starts.run("explain", "-p", profile).stdout.decode()
    assert f"(by the catalog's figures; {state} is not used: it is cut or damaged" in said
    assert "note    costs of hooks" in starts.run("doctor").stdout.decode()
    starts.clean_up()
