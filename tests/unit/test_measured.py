"""What was measured on the host: where it is used, and what is refused instead."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etracee.catalog.costs import load_costs
from etracee.catalog.measured import (
    FORMAT,
    HookCost,
    Measured,
    RefusedError,
    measured_path,
    read_measured,
    write_measured,
)
from etracee.inputs import record_inputs

HERE = os.uname()
MEASURED = Measured(
    format=FORMAT,
    release=HERE.release,
    machine=HERE.machine,
    at=1_700_000_000,
    hooks={"tracepoint": HookCost(30, 12.5, 80), "raw_tracepoint": HookCost(100, 84, 15)},
    calls={"read": 600_000, "getpid": 300_000},
    counted=990_000,
)
IDLE = {"calls": {}, "counted": 0}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path / 'state'}:/elsewhere")
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path / "state" / "costs.json"


def change(path: Path, **values: Any) -> None:
    """Write a measurement that differs in these values from one that is right."""
    write_measured(MEASURED)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_is_written_is_read(path: Path) -> None:
    assert read_measured() is None
    write_measured(MEASURED)
    assert read_measured() == MEASURED
    assert measured_path() == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not path.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    write_measured(MEASURED)
    assert list(path.parent.iterdir()) == [path], "nothing else is left"


def test_costs_are_those_of_the_host() -> None:
    catalog = load_costs()
    assert catalog.source == "by the catalog's figures"
    write_measured(MEASURED)
    costs = load_costs()
    assert costs.hooks == {**catalog.hooks, **MEASURED.hooks}
    assert costs.source == "as measured on this host on 2023-11-14"
    # 10,000 calls of the catalog's mix are added to the 990,000 that were counted
    assert costs.share("read") == pytest.approx(0.6 + 0.01 * catalog.share("read"))
    assert costs.share("getpid") == pytest.approx(0.3 + 0.01 * catalog.others)
    assert costs.share("openat") == pytest.approx(0.01 * catalog.share("openat"))
    assert costs.share("acct") == pytest.approx(0.01 * catalog.others)


def test_of_an_idle_host_the_catalog_knows_more(path: Path) -> None:
    catalog = load_costs()
    change(path, **IDLE)
    costs = load_costs()
    assert costs.hooks == {**catalog.hooks, **MEASURED.hooks}
    assert costs.shares == pytest.approx(catalog.shares)


def test_where_calls_were_traced_only_they_are_the_host_s(path: Path) -> None:
    catalog = load_costs()
    change(path, hooks=None)
    costs = load_costs()
    assert costs.hooks == catalog.hooks
    assert costs.share("read") > 0.6
    calls = "with the calls of this host as counted on 2023-11-14"
    assert costs.source == f"by the catalog's figures, {calls}"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3)


def become_a_link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("real")))


def become_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_anothers(path: Path) -> None:
    os.chown(path, 65534, -1)


def become_anothers_directory(path: Path) -> None:
    os.chown(path.parent, 65534, -1)


def lie_behind_a_link(path: Path) -> None:
    path.parent.symlink_to(path.parent.rename(path.parent.with_name("real")))


HOOKS = {way: {"exit": 1, "enter": 1, "own": 1} for way in ("tracepoint", "raw_tracepoint")}


def with_hook(**values: Any) -> dict[str, Any]:
    return {"hooks": {**HOOKS, "tracepoint": {**HOOKS["tracepoint"], **values}}}


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (cut, "it is cut or damaged"),
        (lambda path: os.truncate(path, 0), "it is cut or damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "it is cut or damaged"),
        (lambda path: path.write_text("[]"), "it is cut or damaged"),
        (lambda path: path.write_text("[" * (1 << 21)), "it is cut or damaged"),
        (become_a_link, "Too many levels of symbolic links"),
        (become_a_fifo, "it is no regular file"),
        (lambda path: path.chmod(0o664), "others may write to it"),
        (lambda path: path.chmod(0o646), "others may write to it"),
        (lambda path: path.parent.chmod(0o777), "others may write to it"),
        (lie_behind_a_link, "it is no directory, or a symbolic link"),
        pytest.param(become_anothers, "it belongs to user 65534", marks=needs_root),
        pytest.param(become_anothers_directory, "it belongs to user 65534", marks=needs_root),
        (lambda path: change(path, release="6.1.0-13"), "it was measured on Linux 6.1.0-13 "),
        (lambda path: change(path, machine="vax"), f"it was measured on Linux {HERE.release} vax"),
    ],
)
def test_what_cannot_be_used_is_refused(
    path: Path, harm: Callable[[Path], object], reason: str
) -> None:
    write_measured(MEASURED)
    harm(path)
    with pytest.raises(RefusedError) as caught:
        read_measured()
    assert caught.value.reason.startswith(f"{path} is not used: {reason}")


@pytest.mark.parametrize(
    "values",
    [
        {"format": FORMAT + 1},
        {"more": 1},
        {"at": -1},
        {"at": 10**20},
        {"at": "today"},
        {"hooks": {"tracepoint": HOOKS["tracepoint"]}},
        {"hooks": {**HOOKS, "kprobe": HOOKS["tracepoint"]}},
        with_hook(exit=-1),
        with_hook(exit=float("nan")),
        with_hook(exit=float("inf")),
        with_hook(exit="1"),
        with_hook(exit=None),
        with_hook(more=1),
        {"calls": {"read": -1}},
        {"calls": {"read": 0.5}},
        {"calls": ["read"]},
        {"counted": 899_999},
    ],
)
def test_what_is_no_measurement_is_refused(path: Path, values: dict[str, Any]) -> None:
    change(path, **values)
    with pytest.raises(RefusedError, match="it is cut or damaged: "):
        read_measured()


@pytest.mark.parametrize("key", MEASURED.__struct_fields__)
def test_what_is_not_whole_is_refused(path: Path, key: str) -> None:
    write_measured(MEASURED)
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(RefusedError, match=f"missing required field `{key}`"):
        read_measured()


def test_what_is_refused_is_told_and_changes_nothing(path: Path) -> None:
    catalog = load_costs()
    change(path, release="6.1.0-13")
    costs = load_costs()
    assert (costs.hooks, costs.shares) == (catalog.hooks, catalog.shares)
    told = f"by the catalog's figures; {path} is not used: it was measured on Linux 6.1.0-13 "
    assert costs.source.startswith(told)


def test_a_compiled_program_is_of_one_measurement(path: Path) -> None:
    """What was compiled by other figures, or by none, is not used any more."""
    with record_inputs() as without:
        load_costs()
    assert without.are_same()
    write_measured(MEASURED)
    with record_inputs() as first:
        load_costs()
    assert first.are_same()
    assert not without.are_same()
    change(path, at=1_700_000_001)
    assert not first.are_same()
    path.unlink()
    assert without.are_same()
    assert not first.are_same()


def test_what_is_refused_may_become_right(path: Path) -> None:
    """Then there is a file that the program was not compiled by, with the content of before."""
    write_measured(MEASURED)
    path.chmod(0o666)
    with record_inputs() as inputs:
        load_costs()
    path.chmod(0o644)
    assert not inputs.are_same()
    path.unlink()
    assert inputs.are_same()
