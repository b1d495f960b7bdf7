"""A plan's program in the kernel, loaded by the process that wants to look at it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from etracee.catalog.costs import load_costs
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import render_offsets
from etracee.kernel.probe import choose_attachment, find_functions
from etracee.plan import Plan, attach_by, call_functions, prefer_attachment
from etracee.render import render_program
from etracee.runtime.clang import OFFSETS, PROGRAM, compile_image, import_bcc
from etracee.runtime.load import load_image
from etracee.runtime.loaded import Loaded


def load_program(plan: Plan) -> Loaded:
    """Compile, load and attach; nothing is let in yet. It goes with the process.

    ProblemsError when the host cannot do it.
    """
    import_bcc()
    program = render_program(plan)
    with tempfile.TemporaryDirectory(prefix="etracee-") as name:
        directory = Path(name)
        (directory / PROGRAM).write_text(program.c)
        with Btf() as btf:
            functions = find_functions(btf, call_functions(plan))
            (directory / OFFSETS).write_text(render_offsets(btf, program.offsets))
        wanted = plan.attach if plan.attach == "fentry" else "raw_tracepoint"
        choose_attachment(wanted, wanted, functions)  # says so where the kernel does not load it
        image = compile_image(plan, directory, program.python, (), (), functions.targets)
    return load_image(image, None, os.getpid())


def choose_for_this_kernel(plan: Plan) -> Plan:
    """Return the plan as `etracee run` attaches it here."""
    called = call_functions(plan)
    with Btf() as btf:
        functions = find_functions(btf, called)
    lacking = called - functions.targets.keys()
    preferred = prefer_attachment(plan, load_costs(), functions.refused_ways, lacking).attach
    found = choose_attachment(plan.options.attach, preferred, functions)
    return attach_by(plan, found.attach, typed_loads=found.typed_loads, lacking=lacking)
