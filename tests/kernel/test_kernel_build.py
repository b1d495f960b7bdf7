"""Files that `etracee build` writes run without a compiler, and only where they fit."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kernel_run import PATIENCE, parse_lines, until
from kernel_starts import Listener, Starts, assert_each_once, opened

from etracee.kernel.bpf import fit_lru, possible_cpus, read_definition
from etracee.render.sizes import ENDED_PROCESSES
from etracee.runtime.image import seal, unseal


@pytest.fixture
def starts(host: None, tmp_path: Path) -> Iterator[Starts]:
    found = Starts(tmp_path)
    yield found
    found.clean_up()


@pytest.fixture(scope="module")
def written(host: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of the bundled profile of processes."""
    starts = Starts(tmp_path_factory.mktemp("build"))
    path = starts.directory / "process.built"
    said = starts.run("build", "-p", "process", "-o", path).stderr
    assert "profile process: " in said
    assert f"wrote {path}: {path.stat().st_size} bytes" in said
    return path


@pytest.fixture
def built(written: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copy(written, tmp_path / "process.built"))


def test_it_follows_a_command(starts: Starts, built: Path) -> None:
    run = starts.run("run", built, "--", "sh", "-c", "true & wait; exit 3", compiles=False, code=3)
    types = [event["type"] for event in parse_lines(run.stdout)]
    assert types == ["exec", "fork", "exit", "exit"]
    assert starts.entries() == [], "nothing of it is kept"


MORE_PROCESSORS = 77


def test_maps_are_made_for_the_host_that_runs_it(
    starts: Starts, built: Path, tmp_path: Path
) -> None:
    """Of one with more processors, each of which holds entries of an LRU map in reserve."""
    possible = tmp_path / "possible"
    possible.write_text(f"0-{MORE_PROCESSORS - 1}\n")
    cover = 'mount --bind "$0" /sys/devices/system/cpu/possible && exec "$@"'
    starts.before = ("unshare", "--mount", "sh", "-c", cover, str(possible))
    wanted = fit_lru(ENDED_PROCESSES, MORE_PROCESSORS)
    assert wanted > fit_lru(ENDED_PROCESSES, possible_cpus()), "here there would be fewer"
    process = starts.start("run", built, compiles=False)
    until(lambda: wanted in lru_sizes(), f"an LRU map of {wanted} entries")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0


def lru_sizes() -> Iterator[int]:
    """Yield the entries of all LRU maps in the kernel."""
    libc, number = ctypes.CDLL(None, use_errno=True), 0
    bpf = {"x86_64": 321, "aarch64": 280}[platform.machine()]
    while True:
        attr = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 12)
        if libc.syscall(bpf, 12, attr, 12):  # BPF_MAP_GET_NEXT_ID
            return
        number = struct.unpack_from("<I", attr, 4)[0]
        descriptor = libc.syscall(bpf, 14, struct.pack("<III", number, 0, 0), 12)  # …_GET_FD_BY_ID
        if descriptor >= 0:
            definition = read_definition("", descriptor)
            os.close(descriptor)
            if definition.type == 9:  # BPF_MAP_TYPE_LRU_HASH
                yield definition.max_entries


def test_it_watches_the_host(starts: Starts, built: Path) -> None:
    run = starts.run("run", built, "--duration", "100ms", compiles=False)
    assert "profile process: " in run.stderr


def test_narrowed_when_it_is_built(starts: Starts, tmp_path: Path) -> None:
    path = tmp_path / "built"
    starts.run("build", "-p", "process", "--event", "exit", "--uid", "0", "-o", path)
    run = starts.run("run", path, "--", "true", compiles=False)
    assert {event["type"] for event in parse_lines(run.stdout)} == {"exit"}


def change(path: Path, what: Callable[[dict[str, Any]], None]) -> None:
    content = msgspec.msgpack.decode(unseal(path.read_bytes()))
    what(content)
    path.write_bytes(seal(msgspec.msgpack.encode(content)))


def test_another_pythons_decoder_is_compiled_anew(starts: Starts, built: Path) -> None:
    def forget(content: dict[str, Any]) -> None:
        for image in ("host", "tree"):
            content[image].update(python=b"\0\0\r\n", compiled=b"of another make")

    change(built, forget)
    run = starts.run("run", built, "--", "true", compiles=False)
    assert parse_lines(run.stdout)


def test_on_another_kernel_it_is_refused(starts: Starts, built: Path) -> None:
    change(built, lambda content: content["kernel"].update(build_id="00" * 20))
    run = starts.run("run", built, "--", "true", compiles=False, code=3)
    assert "is for the kernel" in run.stderr
    assert "etracee build -p PROFILE -o FILE" in run.stderr
    assert run.stdout == b""


def test_where_others_can_write_it_is_refused(starts: Starts, built: Path) -> None:
    built.chmod(0o666)
    run = starts.run("run", built, "--", "true", compiles=False, code=2)
    assert "others may write to" in run.stderr
    assert run.stdout == b""


def test_what_would_need_a_compiler_is_refused(starts: Starts, built: Path) -> None:
    words = ("--uid", "0", "--event", "exec", "--rules", "common")
    run = starts.run("run", built, *words, "--", "true", compiles=False, code=2)
    assert "cannot take --uid, --event, --rules (give that to etracee build)" in run.stderr


def test_a_program_must_be_named(starts: Starts) -> None:
    assert "name a profile with -p" in starts.run("run", code=2).stderr


def test_a_wrong_profile_is_not_built(starts: Starts, tmp_path: Path) -> None:
    path = tmp_path / "built"
    run = starts.run("build", "-p", "no-such", "-o", path, code=2)
    assert "no profile is named 'no-such'" in run.stderr
    assert not path.exists()


def test_it_can_be_replaced_and_reloaded(starts: Starts, tmp_path: Path) -> None:
    built, output = tmp_path / "built", tmp_path / "events.json"
    profile = tmp_path / "own.yaml"
    profile.write_text("name: one\nevents: {openat: {}}\n")
    starts.run("build", "-p", profile, "-o", built)
    process = starts.start("run", built, "-o", output, compiles=False)
    said = Listener(process)
    opened(tmp_path, output, "first")
    profile.write_text("name: two\nevents: {openat: {}, exit: {}}\n")
    starts.run("build", "-p", profile, "-o", built)
    process.send_signal(signal.SIGHUP)
    said.await_text("reloaded profile two: 2 events")
    opened(tmp_path, output, "second")
    built.chmod(0o666)
    process.send_signal(signal.SIGHUP)
    said.await_text("reload failed, the rules of before stay")
    opened(tmp_path, output, "third")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert_each_once(output, tmp_path, ("first", "second", "third"))
