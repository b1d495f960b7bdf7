"""Compile the program of a profile for the kernel of another architecture, and load what can be.

BPF's instructions are the same everywhere: a program differs by the offsets and numbers in it. This
machine's verifier checks accesses through typed pointers against its own kernel's structures, so
only programs that read by helpers can be loaded here; the others are compiled.

Called as: vm_foreign.py PROFILE BTF ATTACH typed|helpers
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from etracee.kernel.btf import Btf
from etracee.kernel.offsets import architecture_of, render_offsets
from etracee.plan import Plan, Request, attach_by, make_plan
from etracee.render import render_program
from etracee.runtime.clang import OFFSETS, PROGRAM, compile_image
from etracee.runtime.load import load_image
from etracee.runtime.loaded import Running
from etracee.source_set import load_source_set


def without_requests(plan: Plan) -> Running:
    """Let the tracepoints of io_uring count as attached: this kernel's have other names."""
    stubs = frozenset(h.stub for h in plan.hooks if h.function.startswith("io_uring_"))
    return Running(0, {}, stubs, plan.attach, plan.typed_loads)


def main(profile: str, btf_path: str, attach: str, loads: str) -> None:
    """Compile, and load with `helpers`; ProblemsError tells what clang or the verifier refuses."""
    with Btf(Path(btf_path)) as btf:
        source = load_source_set(profile, (), architecture_of(btf), btf)
        plan = make_plan(source.profile, source.rules, Request(), source.catalog)
        plan = attach_by(plan, attach, typed_loads=loads == "typed")
        program = render_program(plan)
        offsets = render_offsets(btf, program.offsets)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / PROGRAM).write_text(program.c)
        (Path(directory) / OFFSETS).write_text(offsets)
        if loads == "typed":
            plan = replace(plan, hooks=(), branches=())
        image = compile_image(plan, Path(directory), program.python, (), ())
        loaded = load_image(image, without_requests(plan), os.getpid())
    programs = len(loaded.programs) + len(plan.branches)
    print(f"{len(plan.events)} events, {programs} programs loaded")


if __name__ == "__main__":
    main(*sys.argv[1:])
