"""From an order to an image: all that is heavy (pydantic, lark, Jinja2, BCC) is behind this."""

from __future__ import annotations

from pathlib import Path

from etracee.catalog.costs import load_costs
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import lacking_options, render_offsets
from etracee.kernel.probe import Attachment, choose_attachment, find_functions
from etracee.plan import Request, attach_by, call_functions, make_plan, prefer_attachment
from etracee.plan.attach import UNSEEN_BY_FUNCTIONS
from etracee.render import render_program
from etracee.runtime.clang import OFFSETS, PROGRAM, compile_image, import_bcc
from etracee.runtime.image import Image
from etracee.runtime.loaded import Running
from etracee.runtime.order import Order
from etracee.source_set import load_source_set


def make_image(order: Order, directory: Path, running: Running | None = None) -> Image:
    """Read what the order names, plan it, render and compile it, with files in `directory`.

    With `running`, for a program that takes the place of one that runs. ProblemsError with all that
    is wrong with what was read, or with what the host lacks.
    """
    with Btf() as btf:
        source = load_source_set(order.profile, order.rules, kernel=btf)
        request = Request(
            order.filters, order.events, order.tree, order.alerts_only, order.allow_actions
        )
        plan = make_plan(source.profile, source.rules, request, source.catalog)
        import_bcc()
        wanted, called = source.profile.options.attach, call_functions(plan)
        functions = find_functions(btf, called)
        found = Attachment(running.attach, running.typed_loads) if running else None
        lacking = called - functions.targets.keys()
        preference = prefer_attachment(plan, load_costs(), functions.refused_ways, lacking)
        found = found or choose_attachment(wanted, preference.attach, functions)
        plan = attach_by(plan, found.attach, typed_loads=found.typed_loads, lacking=lacking)
        program = render_program(plan)
        offsets = render_offsets(btf, program.offsets)
        notes = lacking_options(btf, program.offsets)
    notes += (f"warning: {warning}" for warning in plan.warnings)
    why = found.why or (preference.why if wanted == "auto" and not running else None)
    if plan.attach == "raw_tracepoint" and why:
        notes.append(f"note: one tracepoint for all calls is used: {why}")
    if plan.attach == "fentry" and not running:
        notes.append(f"note: {UNSEEN_BY_FUNCTIONS}")
    if running and wanted not in ("auto", running.attach):
        notes.append(f"note: attach: {wanted} counts after a restart")
    (directory / PROGRAM).write_text(program.c)
    (directory / OFFSETS).write_text(offsets)
    files, targets = source.profile.files, functions.targets
    return compile_image(plan, directory, program.python, files, notes, targets)
