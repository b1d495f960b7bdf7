"""`etracee explain`: what the kernel decides, what is captured for whom, and what is doubtful."""

from __future__ import annotations

import os

import click
import msgspec

from etracee.catalog.costs import load_costs
from etracee.cli._options import Selection, profile_option, selection_options
from etracee.explain import Attachment, explain, render_text
from etracee.kernel.bpf import possible_cpus
from etracee.kernel.btf import Btf, lacking_functions, open_btf
from etracee.kernel.probe import Functions, choose_attachment, find_functions
from etracee.plan import Plan, Request, attach_by, call_functions, make_plan, prefer_attachment
from etracee.plan.attach import ATTACH
from etracee.problems import ProblemsError
from etracee.source_set import load_source_set


@click.command()
@profile_option
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
@click.option(
    "--attach",
    type=click.Choice(["auto", *ATTACH]),
    help="How calls are met, instead of what the profile says.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--tree", is_flag=True, help="The program that `run … -- COMMAND` would use.")
@selection_options
def command(
    profile: str,
    rules: tuple[str, ...],
    attach: str | None,
    form: str,
    tree: bool,
    selection: Selection,
) -> None:
    """Show what becomes of a profile and its rules. Needs no root.

    Of each rule and each comparison: whether the kernel decides it, or userspace and why. Of each
    event: the tests in their order, the fields captured and for whom, the bytes. Then programs,
    maps, and warnings. `etracee schema explanation` describes the JSON.
    """
    request = Request(
        selection.filters,
        selection.events,
        tree,
        selection.alerts_only,
        selection.allow_actions,
    )
    with open_btf() as kernel:
        source = load_source_set(profile, rules, kernel=kernel)
        plan = make_plan(source.profile, source.rules, request, source.catalog)
        lacking = lacking_functions(kernel, call_functions(plan))
        chosen = _attachment(attach or plan.options.attach, plan, kernel, lacking)
    plan = attach_by(plan, chosen.kind, typed_loads=True, lacking=lacking)
    explanation = explain(source, plan, chosen, possible_cpus())
    if form == "json":
        print(msgspec.json.encode(explanation).decode())
    else:
        print(render_text(explanation), end="")


def _attachment(wanted: str, plan: Plan, kernel: Btf | None, lacking: frozenset[str]) -> Attachment:
    """Return what this host would choose, where it can be asked."""
    if wanted != "auto":
        return Attachment(wanted, "as was asked for")
    functions = _functions(plan, kernel)
    preferred = prefer_attachment(plan, load_costs(), functions.refused_ways, lacking)
    against = f"; not by fentry, since {functions.obstacle}" if functions.obstacle else ""
    if os.geteuid() != 0:
        return Attachment(preferred.attach, f"{preferred.why}{against}")
    try:
        found = choose_attachment(wanted, preferred.attach, functions)
    except ProblemsError as error:
        why = f"{preferred.why}, but it does not work here: {error.problems[0].message}"
        return Attachment("tracepoint", why)
    return Attachment(found.attach, found.why or f"{preferred.why}{against}")


def _functions(plan: Plan, kernel: Btf | None) -> Functions:
    if os.geteuid() != 0:
        return Functions({}, "only root can ask this kernel")
    if kernel is None:
        return Functions({}, "this kernel offers no BTF")
    return find_functions(kernel, call_functions(plan))
