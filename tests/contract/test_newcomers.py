"""One file is enough: a call is one YAML entry, an operator one module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALL = """\
listns:
  doc: List namespaces, as a kernel to come may.
  number: {x86_64: 470, aarch64: 470}
  arguments: [{name: filename, argument: name}, {name: addrlen, argument: len}]
"""
OPERATOR = '''\
"""`odd`: not divisible by two."""

from etracee.fragments import c, py
from etracee.operators.base import CForm, Operator, Takes
from etracee.types import Kind


class Odd(Operator):
    """Numbers that two does not divide."""

    symbol = "odd"
    kinds = frozenset({Kind.NUMBER})
    takes = Takes.NOTHING
    doc = "Not divisible by two."
    examples = (("uid odd", {"uid": 1}, {"uid": 2}),)

    def python(self, operand, constant):
        return py("{value} % 2 == 1", value=operand.value)

    def c_form(self, operand, constant):
        return CForm(c("({value} & 1)", value=operand.value))


OPERATOR = Odd()
'''
PROFILE = "name: x\nevents: {listns: {filter: uid odd}}\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def grown(tmp_path: Path) -> Run:
    """Return the function that runs a copy of etracee with one file more of each kind."""
    for name in ("etracee", "templates", "profiles", "rules"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "etracee/catalog/data/syscalls/host.yaml").write_text(CALL)
    (tmp_path / "etracee/operators/odd.py").write_text(OPERATOR)
    (tmp_path / "profile.yaml").write_text(PROFILE)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "etracee", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return run


def test_call_and_operator_are_picked_up(grown: Run) -> None:
    assert "List namespaces, as a kernel to come may." in grown("list", "events", "listns").stdout
    assert "Not divisible by two." in grown("list", "operators", "odd").stdout
    done = grown("generate", "--profile", "./profile.yaml")
    assert done.returncode == 0, done.stderr
    assert "int sys_exit_listns(" in done.stdout
    assert "((s64)r->uid & 1)" in done.stdout
