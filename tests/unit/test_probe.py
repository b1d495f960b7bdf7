"""Whether calls can be met at the kernel's functions, and what is said where they cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from etracee.kernel import probe
from etracee.kernel.probe import Functions, choose_attachment, find_functions
from etracee.problems import ExitCode, ProblemsError

Told = Callable[..., Functions]
"""Returns what is found on a kernel of that version, with these files and that refusal."""


class Types:
    """The types of a kernel that has one of the calls' functions."""

    def function_ids(self, names: Iterable[str]) -> dict[str, int]:
        return {name: 7 for name in names if name in ("__x64_sys_openat", "vfs_open")}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Told:
    def find(
        version: str,
        mode: str | None = None,
        ftrace: str = "1\n",
        refusal: OSError | None = None,
        names: Iterable[str] = ("__x64_sys_openat", "__x64_sys_nothing"),
    ) -> Functions:
        (tmp_path / "sched").mkdir()
        if mode is not None:
            (tmp_path / "sched/preempt").write_text(f"{mode} \n")
        (tmp_path / "ftrace_enabled").write_text(ftrace)
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(version=version))
        monkeypatch.setattr(probe, "_DEBUGFS", tmp_path)
        monkeypatch.setattr(probe, "_FTRACE", tmp_path / "ftrace_enabled")
        monkeypatch.setattr(probe, "load_error", lambda *_: refusal)
        return find_functions(Types(), names)  # type: ignore[arg-type]

    return find


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ("#1 SMP Debian 6.1.1-1", None),
        ("#1 SMP PREEMPT_DYNAMIC", "none (voluntary) full"),
        ("#1 SMP PREEMPT_DYNAMIC", "(none) voluntary full"),
    ],
)
def test_programs_that_run_to_their_end_are_taken(
    found: Told, version: str, mode: str | None
) -> None:
    assert found(version, mode) == Functions({"__x64_sys_openat": 7}, None)


@pytest.mark.parametrize(
    ("version", "mode", "said"),
    [
        ("#1 SMP PREEMPT", None, "this kernel interrupts such programs for other tasks (PREEMPT)"),
        ("#1 SMP PREEMPT_RT", None, "interrupts such programs for other tasks (PREEMPT_RT)"),
        ("#1 SMP PREEMPT_DYNAMIC", "none voluntary (full)", "(preempt: none voluntary (full))"),
        ("#1 SMP PREEMPT_DYNAMIC", "none voluntary full (lazy)", "full (lazy))"),
        ("#1 SMP PREEMPT_DYNAMIC", None, "only debugfs tells whether this kernel interrupts"),
    ],
)
def test_programs_that_are_interrupted_are_not(
    found: Told, version: str, mode: str | None, said: str
) -> None:
    functions = found(version, mode)
    assert not functions.targets
    assert functions.obstacle and said in functions.obstacle
    assert functions.refused_ways == ("fentry",)


def test_programs_that_are_never_called_are_not(found: Told) -> None:
    functions = found("#1 SMP", ftrace="0\n")
    assert functions.obstacle and "kernel.ftrace_enabled is 0" in functions.obstacle


def test_the_kernel_s_own_refusal_comes_first(found: Told) -> None:
    functions = found("#1 SMP PREEMPT", refusal=PermissionError(1, "Operation not permitted"))
    assert functions.obstacle == "the kernel refuses such a program: Operation not permitted"


def test_a_profile_may_watch_no_call_that_has_a_function(found: Told) -> None:
    assert found("#1 SMP", names=()) == Functions({}, None)


def test_what_was_asked_for_and_is_refused_is_an_error_of_the_host() -> None:
    with pytest.raises(ProblemsError) as caught:
        choose_attachment("fentry", "fentry", Functions({}, "it is an example"))
    assert caught.value.code == ExitCode.HOST
    assert "attach: fentry cannot be used: it is an example" in str(caught.value)


def test_what_is_preferred_is_taken() -> None:
    functions = Functions({"__x64_sys_openat": 7})
    for wanted, preferred in (("auto", "fentry"), ("fentry", "tracepoint")):
        found = choose_attachment(wanted, preferred, functions)
        assert (found.attach, found.typed_loads) == ("fentry", True)
