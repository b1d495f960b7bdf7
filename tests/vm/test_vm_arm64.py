"""Arm64: programs of all events compiled here, and Debian's kernel booted for some."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from vm_events import normalise, run_here
from vm_foreign_image import PYTHON, foreign_system_disk
from vm_kernel import GUEST, Kernel, debian_kernel
from vm_machine import ASKED, CHECKOUT, Outcome, boot

from etracee.catalog import fit_catalog, load_catalog
from etracee.kernel.bpf import PROG_TYPES
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import architecture_of

Boot = Callable[..., Outcome]
BATCH = 40
"""Events in one program: all of them in one are too much for the verifier."""


WATCHED = (
    *(
        "openat",
        "mkdirat",
        "unlinkat",
        "renameat2",
        "linkat",
        "symlinkat",
        "fchmod",
        "memfd_create",
    ),
    *("socket", "connect", "bind", "listen", "execve", "kill", "setuid", "exit"),
)
_JOB = """
cd {place}
{python} -m etracee run -p profile.json -o /dev/shm/events-{name} -- \\
    /usr/bin/python3 -I -S calls.py {place} 3>&-
echo "status $?"
cat /dev/shm/events-{name} >&3
rm -r /dev/shm/events-{name} d
"""


@pytest.fixture(scope="session")
def arm64() -> Kernel:
    """Return Debian 12's kernel for arm64."""
    return debian_kernel("arm64")


@pytest.fixture(scope="session")
def boot_arm64(arm64, tmp_path_factory) -> Boot:
    """Return the function that boots the arm64 kernel for a job."""

    def run(job: str, timeout: float = 600, copied: Sequence[Path] = ()) -> Outcome:
        disk, place = foreign_system_disk("arm64"), tmp_path_factory.mktemp("vm")
        return boot(arm64, disk, job, place, timeout, copied)

    return run


whole = pytest.mark.skipif(ASKED == "some", reason="takes minutes: ./setup.sh test --kernels")


@whole
def test_every_program_type_loads(boot_arm64):
    outcome = boot_arm64(f"{PYTHON} -m etracee doctor")
    assert outcome.status == 0, outcome.output
    lines = [line.split() for line in outcome.output.splitlines()]
    assert ["ok", "direct", "reads", "work"] in lines
    for kind in PROG_TYPES:
        assert ["ok", kind, "programs", "load"] in lines


@whole
@pytest.mark.parametrize("attach", ["tracepoint", "raw_tracepoint"])
def test_both_architectures_give_the_same_events(boot_arm64, attach, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    shutil.copy(GUEST / "calls.py", place)
    events = {name: {} for name in WATCHED}
    events["openat"] = {"fields": ["filename", "dfd", "flags", "mode", "path", "path_source"]}
    profile = {"name": "test", "extends": ["base"], "events": events}
    (place / "profile.json").write_text(json.dumps({**profile, "options": {"attach": attach}}))
    name, there = f"{attach}-{os.getpid()}", shlex.quote(str(place))
    said, here = run_here(_JOB.format(place=there, python=sys.executable, name=name), tmp_path)
    guest = boot_arm64(_JOB.format(place=there, python=PYTHON, name=name), copied=[place])
    for output in (said, guest.output):
        assert output.splitlines()[-1] == "status 3", output
    ours, theirs = since_begin(here), since_begin(guest.results)
    assert {event["type"] for event in ours} == set(WATCHED)
    assert theirs == ours


def since_begin(output: bytes) -> list[dict[str, Any]]:
    """Return the events from the marked one on, without the calls' numbers: each has its own."""
    events = normalise(output)
    for event in events:
        del event["syscall_id"]
    names = [event.get("filename") for event in events]
    return events[names.index("begin") :]


def test_the_image_tells_its_types(arm64):
    with Btf(arm64.btf) as btf:
        assert architecture_of(btf) == "aarch64"
        assert btf.function_id("vfs_open") is not None


@pytest.mark.parametrize(
    ("attach", "loads"),
    [
        ("tracepoint", "typed"),
        pytest.param("raw_tracepoint", "typed", marks=whole),
        pytest.param("raw_tracepoint", "helpers", marks=whole),
    ],
)
def test_every_event_compiles(arm64, attach, loads, tmp_path):
    with Btf(arm64.btf) as btf:
        names, told = list(fit_catalog(load_catalog("aarch64"), btf).events), []
    for first in range(0, len(names), BATCH):
        batch = names[first : first + BATCH]
        profile = tmp_path / f"{first}.json"
        profile.write_text(json.dumps(with_all_fields(batch)))
        words = [sys.executable, Path(__file__).with_name("vm_foreign.py")]
        done = subprocess.run(
            [*words, profile, arm64.btf, attach, loads],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            told.append(f"{', '.join(batch)}: {done.stdout}{done.stderr[-3000:]}")
    assert not told, "\n".join(told)


def with_all_fields(names: Sequence[str]) -> dict[str, Any]:
    """Return a profile of these events with all that they and their context have."""
    catalog = load_catalog("aarch64")
    events = {}
    for name in names:
        fields = [field for field in catalog.events[name].fields if field != "ret"]
        events[name] = {"fields": fields} if fields else {}
    return {"name": "all", "context": list(catalog.context), "events": events}
