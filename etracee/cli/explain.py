"""`etracee explain`: what the kernel decides, what is captured for whom, and what is doubtful."""

from __future__ import annotations

import os

import click
import msgspec

from etracee.catalog.costs import load_costs
from etracee.cli._options import Selection, profile_option, selection_options
from etracee.explain import Attachment, explain, render_text
from etracee.kernel.bpf import possible_cpus
from etracee.kernel.btf import open_btf
from etracee.kernel.probe import choose_attachment
from etracee.plan import Preference, Request, attach_by, make_plan, prefer_attachment
from etracee.problems import ProblemsError
from etracee.source_set import load_source_set


@click.command()
@profile_option
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
@click.option(
    "--attach",
    type=click.Choice(["auto", "tracepoint", "raw_tracepoint"]),
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
    chosen = _attachment(attach or plan.options.attach, prefer_attachment(plan, load_costs()))
    plan = attach_by(plan, chosen.kind, typed_loads=True)
    explanation = explain(source, plan, chosen, possible_cpus())
    if form == "json":
        print(msgspec.json.encode(explanation).decode())
    else:
        print(render_text(explanation), end="")


def _attachment(wanted: str, preferred: Preference) -> Attachment:
    """Return what this host would choose, where it can be asked."""
    if wanted != "auto":
        return Attachment(wanted, "as was asked for")
    if os.geteuid() != 0:
        return Attachment(preferred.attach, f"{preferred.why}; only root can ask this kernel")
    try:
        found = choose_attachment(wanted, preferred.attach)
    except ProblemsError as error:
        why = f"{preferred.why}, but it does not work here: {error.problems[0].message}"
        return Attachment("tracepoint", why)
    return Attachment(found.attach, found.why or preferred.why)
