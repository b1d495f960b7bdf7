"""A plan's program in the kernel, loaded by the process that wants to look at it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from etracee.catalog.costs import load_costs
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import render_offsets
from etracee.kernel.probe import choose_attachment
from etracee.plan import Plan, attach_by, prefer_attachment
from etracee.render import render_program
from etracee.runtime.clang import OFFSETS, PROGRAM, compile_image, import_bcc
from etracee.runtime.load import load_image
from etracee.runtime.loaded import Loaded


def load_program(plan: Plan) -> Loaded:
    """Compile, load and attach; nothing is let in yet. It goes with the process.

    ProblemsError when the host cannot do it.
    """
    import_bcc()
    choose_attachment("raw_tracepoint", "raw_tracepoint")  # says so where the kernel loads nothing
    program = render_program(plan)
    with tempfile.TemporaryDirectory(prefix="etracee-") as name:
        directory = Path(name)
        (directory / PROGRAM).write_text(program.c)
        with Btf() as btf:
            (directory / OFFSETS).write_text(render_offsets(btf, program.offsets))
        image = compile_image(plan, directory, program.python, (), ())
    return load_image(image, None, os.getpid())


def choose_for_this_kernel(plan: Plan) -> Plan:
    """Return the plan as `etracee run` attaches it here."""
    preferred = prefer_attachment(plan, load_costs()).attach
    found = choose_attachment(plan.options.attach, preferred)
    return attach_by(plan, found.attach, typed_loads=found.typed_loads)
