"""The order of the passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from etracee.catalog import Catalog
from etracee.plan.attach import choose_branches, choose_hooks
from etracee.plan.demand import find_demand
from etracee.plan.feed import add_feeding
from etracee.plan.grams import build_grams
from etracee.plan.keys import check_counted, lay_out_keys
from etracee.plan.layout import lay_out
from etracee.plan.model import Plan, Request, RulePlan
from etracee.plan.precedence import give_way
from etracee.plan.pushdown import kernel_tests, push_down
from etracee.plan.resolve import resolve
from etracee.plan.tries import build_tries
from etracee.plan.warnings import find_warnings
from etracee.profile import Profile
from etracee.rules import RuleSet


def make_plan(profile: Profile, rules: RuleSet, request: Request, catalog: Catalog) -> Plan:
    """Return the plan for `profile` and `rules`; ProblemsError with all that is wrong in them.

    Names become events and fields (resolve), what they depend on of other events is added (feed),
    what somebody reads is found (demand), it gets its place in a record and, where it is counted,
    in a key (lay out), what the kernel can decide is separated (push down), some events leave room
    in the ring to others (precedence), and every event gets its hooks (attach): those of the
    cheapest way, see attach_by() for the others. What can never happen is a warning.
    """
    resolved = resolve(profile, rules, request, catalog)
    resolved = replace(resolved, events=add_feeding(resolved.events, catalog))
    demands = [find_demand(event, profile.options) for event in resolved.events]
    compat = profile.options.decodes_compat
    context = catalog.context
    layouts = [lay_out(demand, i, context, compat=compat) for i, demand in enumerate(demands)]
    counts = lay_out_keys(profile, demands, layouts)
    tests = list(kernel_tests(demands))
    tries, grams = build_tries(tests), build_grams(tests)
    killing = frozenset(_killing_rules(resolved.rules)) if request.allow_actions else frozenset()
    found = find_warnings(profile, rules, resolved, layouts)
    events = tuple(
        push_down(demand, layout, tries, grams, killing, counts.get(layout.event))
        for demand, layout in zip(demands, layouts, strict=True)
    )
    check_counted(profile, events)
    events = give_way(events, resolved.rules)
    return Plan(
        profile=profile.name,
        version=profile.version,
        catalog=catalog,
        options=profile.options,
        tree=request.tree,
        typed_loads=True,
        events=events,
        rules=resolved.rules,
        tries=tuple(tries.values()),
        grams=tuple(grams.values()),
        hooks=choose_hooks(events, "tracepoint", catalog, tree=request.tree),
        branches=tuple(choose_branches(events)),
        attach="tracepoint",
        allow_actions=request.allow_actions,
        weighs=request.weighs,
        count_every=profile.every,
        warnings=tuple(dict.fromkeys((*resolved.warnings, *found))),
    )


def _killing_rules(rules: Iterable[RulePlan]) -> Iterator[int]:
    """Yield the rules that end a process as soon as one event matches, as the kernel can."""
    for index, rule in enumerate(rules):
        if "kill" in rule.actions and rule.window is None and rule.at_most is None:
            yield index
