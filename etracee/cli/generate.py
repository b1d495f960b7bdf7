"""`etracee generate`: show the C that would run, and write the decoder that belongs to it."""

from __future__ import annotations

from pathlib import Path

import click

from etracee.bench.program import load_program
from etracee.catalog.costs import load_costs
from etracee.cli._options import Selection, profile_option, selection_options
from etracee.kernel.btf import VMLINUX, Btf, lacking_functions, open_btf
from etracee.kernel.offsets import architecture_of, render_offsets
from etracee.kernel.programs import read_program, read_program_array
from etracee.plan import Plan, Request, attach_by, call_functions, make_plan, prefer_attachment
from etracee.plan.attach import ATTACH
from etracee.problems import tell, wrong
from etracee.render import Program, render_program
from etracee.runtime.loaded import BRANCHES
from etracee.source_set import load_source_set

PROGRAM, OFFSETS, DECODER, PLAN = "program.c", "offsets.h", "decoder.py", "plan.txt"
"""Names of the files that -o writes."""


@click.command()
@profile_option
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
@click.option("-o", "--output", metavar="DIR", help="Write C, offsets, decoder and plan here.")
@click.option(
    "--attach",
    type=click.Choice(["auto", *ATTACH]),
    help="How calls are met, instead of what the profile says; auto means tracepoints here, which "
    "every kernel takes.",
)
@click.option(
    "--btf", metavar="FILE", help="BTF of another kernel: its /sys/kernel/btf/vmlinux, or vmlinux."
)
@click.option("--tree", is_flag=True, help="The program that `run … -- COMMAND` would use.")
@click.option(
    "--stats",
    is_flag=True,
    help="Load the program, and show what it costs the verifier instead of the C. Needs root, BCC.",
)
@selection_options
def command(
    profile: str,
    rules: tuple[str, ...],
    output: str | None,
    attach: str | None,
    btf: str | None,
    tree: bool,
    stats: bool,
    selection: Selection,
) -> None:
    """Show the C of a profile on stdout, or write all that is generated. Needs no root.

    Without BTF, which a kernel may not offer, the offsets are left out.
    """
    request = Request(
        selection.filters,
        selection.events,
        tree,
        selection.alerts_only,
        selection.allow_actions,
    )
    path = Path(btf) if btf else VMLINUX
    arch = _architecture(path) if btf else None
    with open_btf(path) as kernel:
        source = load_source_set(profile, rules, arch, kernel)
        plan = make_plan(source.profile, source.rules, request, source.catalog)
        lacking = lacking_functions(kernel, call_functions(plan))
    chosen = attach or plan.options.attach
    if chosen == "auto":
        chosen = prefer_attachment(plan, load_costs(), refused=("fentry",)).attach
    plan = attach_by(plan, chosen, typed_loads=True, lacking=lacking)
    for warning in plan.warnings:
        tell(f"warning: {warning}")
    program = render_program(plan)
    if output is not None:
        _write(Path(output), plan, program, path)
    elif not stats:
        print(program.c, end="")
    if stats:
        print(_describe_functions(plan), end="")


def _architecture(path: Path) -> str:
    with Btf(path) as btf:
        arch = architecture_of(btf)
    if arch is None:
        raise wrong(None, f"{path} is of a kernel for an architecture that etracee does not know")
    return arch


def _write(directory: Path, plan: Plan, program: Program, btf_path: Path) -> None:
    files = {PROGRAM: program.c, DECODER: program.python, PLAN: _describe(plan)}
    if btf_path.exists():
        with Btf(btf_path) as btf:
            files[OFFSETS] = render_offsets(btf, program.offsets)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise wrong(None, f"cannot write {error.filename}: {error.strerror}") from None
    tell(f"wrote {', '.join(sorted(files))} to {directory}")


def _describe_functions(plan: Plan) -> str:
    """Load the program on this kernel, and return a line for each function and their sum."""
    loaded = load_program(plan)
    functions = {**loaded.programs, **loaded.stubs}
    found = [(name, read_program(fd)) for name, fd in functions.items()]
    if plan.branches:
        slots = read_program_array(loaded.maps[BRANCHES])
        found += ((branch.function, slots[branch.slots[0]]) for branch in plan.branches)
    width = max(len(name) for name, _ in found)
    lines = [f"{'':{width}}  instructions  verified"]
    for name, info in found:
        lines.append(f"{name:{width}}  {info.instructions:12,}  {_number(info.verified)}")
    verified = [info.verified for _, info in found if info.verified is not None]
    total = sum(info.instructions for _, info in found)
    lines.append(f"{'in all':{width}}  {total:12,}  {_number(sum(verified) or None)}")
    return "\n".join([*lines, ""])


def _number(verified: int | None) -> str:
    return f"{verified:8,}" if verified is not None else f"{'unknown':>8}"


def _describe(plan: Plan) -> str:
    """Return the plan in words: hooks, each event's record, and what it is counted by."""
    lines = [f"profile {plan.profile} {plan.version or ''}".rstrip(), ""]
    lines += (f"{hook.kind} {hook.name} -> {hook.function}()" for hook in plan.hooks)
    lines += (f"{branch.of} -> {branch.function}()" for branch in plan.branches)
    for event in plan.events:
        lines += ["", f"{event.name}: {event.layout.size} bytes, at most {event.layout.limit}"]
        lines += (
            f"  {slot.offset:4} {slot.size:3} {slot.storage.c_type:5} {slot.name}"
            + (f" (up to {slot.limit} bytes behind)" if slot.limit else "")
            for slot in event.layout.slots
        )
        if event.counting:
            key = event.counting.layout
            lines.append(f"{event.name} is counted by a key of {key.size} bytes:")
            lines += (f"  {slot.offset:4} {slot.size:3} {slot.name}" for slot in key.slots)
    return "\n".join([*lines, ""])
