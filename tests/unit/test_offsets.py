"""The offsets header: alternatives of kernels, and what a program can do without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from etracee.kernel.btf import Btf
from etracee.kernel.offsets import lacking_options, render_offsets
from etracee.problems import ExitCode, ProblemsError


class Kernel:
    """A kernel whose BTF has these members."""

    def __init__(self, members: Mapping[str, int]) -> None:
        self.members = members

    def offset_of(self, path: str) -> int | None:
        return self.members.get(path)


def kernel(**members: int) -> Btf:
    return cast(Btf, Kernel({name.replace("__", "."): at for name, at in members.items()}))


def test_the_first_alternative_that_is_there_counts() -> None:
    wanted = {"A": "node.above|node.parent"}
    assert "#define A 8 " in render_offsets(kernel(node__parent=8), wanted)
    assert "#define A 0 " in render_offsets(kernel(node__parent=8, node__above=0), wanted)


def test_what_is_optional_is_nowhere_and_told() -> None:
    wanted = {"A": "task.loginuid|", "B": "task.pid"}
    here = kernel(task__pid=4)
    assert "#define A -1 " in render_offsets(here, wanted)
    assert "#define B 4 " in render_offsets(here, wanted)
    (note,) = lacking_options(here, wanted)
    assert note == "note: this kernel has no task.loginuid: what is read from it is null"
    assert lacking_options(kernel(task__pid=4, task__loginuid=16), wanted) == []


def test_the_rest_has_to_be_there() -> None:
    with pytest.raises(ProblemsError) as caught:
        render_offsets(kernel(task__pid=4), {"A": "node.above|node.parent", "B": "task.pid"})
    assert caught.value.code is ExitCode.HOST
    (problem,) = caught.value.problems
    assert problem.message == "this kernel's BTF has no node.above or node.parent"


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(ProblemsError, match=r"cannot read a+: File name too long"):
        Btf(Path("a" * 300))
