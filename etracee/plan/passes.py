"""The order of the passes."""

from __future__ import annotations

from etracee.catalog import Catalog
from etracee.plan.attach import choose_hooks
from etracee.plan.demand import find_demand
from etracee.plan.layout import lay_out
from etracee.plan.model import Plan, Request
from etracee.plan.pushdown import push_down
from etracee.plan.resolve import resolve
from etracee.profile import Profile
from etracee.rules import Rule


def make_plan(
    profile: Profile, rules: tuple[Rule, ...], request: Request, catalog: Catalog
) -> Plan:
    """Return the plan for `profile` and `rules`; ProblemsError with all that is wrong in them.

    Names become events and fields (resolve), what somebody reads is found (demand), it gets its
    place in a record (lay out), what the kernel can decide is separated (push down), and every
    event gets its hooks (attach): those of the cheapest way, see attach_by() for the others.
    """
    resolved = resolve(profile, rules, request, catalog)
    demands = [find_demand(event, profile.options) for event in resolved.events]
    layouts = [lay_out(demand, index) for index, demand in enumerate(demands)]
    events = tuple(push_down(*pair) for pair in zip(demands, layouts, strict=True))
    return Plan(
        profile=profile.name,
        version=profile.version,
        catalog=catalog,
        options=profile.options,
        tree=request.tree,
        typed_loads=True,
        events=events,
        rules=resolved.rules,
        hooks=choose_hooks(events, "tracepoint", tree=request.tree),
        attach="tracepoint",
        warnings=resolved.warnings,
    )
