"""From a plan to what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from etracee.explain.blind import find_blind
from etracee.explain.captures import captured
from etracee.explain.decisions import Decider, text_of_tree
from etracee.explain.maps import maps_of
from etracee.explain.model import (
    Attachment,
    Counted,
    Event,
    Explanation,
    Hook,
    Rule,
    Stage,
    Warning,
)
from etracee.explain.warnings import find_doubts
from etracee.expr.tree import YES
from etracee.plan import EventPlan, Plan, RulePlan
from etracee.plan.model import WindowPlan
from etracee.problems import Problem
from etracee.source_set import SourceSet


def explain(source: SourceSet, plan: Plan, attach: Attachment, cpus: int) -> Explanation:
    """Return what is said of `plan`, which was made of `source`.

    `cpus` is the number of possible CPUs. ProblemsError where a record is too large.
    """
    decider = Decider(plan)
    maps, scratch = maps_of(plan, cpus)
    doubts = dict.fromkeys((*plan.warnings, *find_doubts(source, plan)))
    return Explanation(
        profile=plan.profile,
        version=plan.version,
        attach=attach,
        events=tuple(_event(plan, event, decider) for event in plan.events),
        rules=tuple(_rule(index, rule, decider) for index, rule in enumerate(plan.rules)),
        hooks=tuple(_hooks(plan)),
        maps=maps,
        ring_buffer_bytes=plan.options.ring_buffer,
        scratch_bytes=scratch,
        map_memory=sum(m.memory for m in maps),
        warnings=tuple(_warnings(doubts)),
        notes=tuple(find_blind(plan)),
    )


def _hooks(plan: Plan) -> Iterator[Hook]:
    for hook in plan.hooks:
        yield Hook(hook.function, hook.kind, hook.name, hook.slot)
        for branch in plan.branches:
            if branch.of == hook.function:
                yield Hook(branch.function, "tail call", branch.of, branch.slots[0])


def _event(plan: Plan, event: EventPlan, decider: Decider) -> Event:
    return Event(
        name=event.name,
        delivered=event.delivered,
        sent=event.is_sent,
        tells=event.feeds is not None,
        counted=_counted(plan, event),
        kernel=tuple(_stages(plan, event)),
        filter=decider.filter(event),
        userspace=None if event.keep == YES else text_of_tree(event.keep),
        fields=captured(plan, event),
        fixed_bytes=event.layout.size,
        largest_bytes=event.layout.limit,
    )


def _stages(plan: Plan, event: EventPlan) -> Iterator[Stage]:
    """Yield the tests in the order of with_tests() of etracee.render.filters."""
    scope = "one of the command's processes" if plan.tree else "not etracee itself"
    yield Stage("scope", (), scope)
    names = [field.name for field in event.captures]
    begin = 0
    for name, end, test in (
        ("early", event.early, event.early_test),
        ("late", event.late, event.late_test),
    ):
        if test != YES:
            yield Stage(name, tuple(names[begin:end]), text_of_tree(test))
            begin = max(begin, end)
    if event.bits:
        marks = "mark the rules that may match"
        waits = event.is_sent_anyway or event.counting
        action = marks if waits else f"{marks}; send it only if there are any"
        yield Stage("rules", tuple(names[begin : event.ruled]), action)
        begin = max(begin, event.ruled)
    if event.counting:
        is_left = event.is_sent and not event.is_sent_anyway
        ends = "; send it only if there are marks of rules" if is_left else ""
        yield Stage("count", tuple(names[begin : event.keyed]), f"count its key{ends}")
    if event.kills:
        yield Stage("kill", (), "end the process, where a rule that says so matches for sure")
    if event.is_sent and event.gives_way:
        marked = f", unless it has marks of rules {_STAYING}" if event.stays_for else ""
        yield Stage("room", (), f"refuse it while the ring is over three quarters full{marked}")


_STAYING = "of level high or above, or that end the process"


def _counted(plan: Plan, event: EventPlan) -> Counted | None:
    count = event.counting
    if count is None:
        return None
    by = tuple(part.field.name for part in count.by)
    histogram = count.histogram.field.name if count.histogram else None
    return Counted(by, histogram, count.layout.size, plan.count_every)


def _rule(index: int, rule: RulePlan, decider: Decider) -> Rule:
    return Rule(
        id=rule.id,
        title=rule.title,
        level=rule.level,
        steps=decider.steps(index, rule),
        state=_state(rule),
        actions=rule.actions,
    )


def _state(rule: RulePlan) -> str | None:
    said = []
    if rule.window is not None and len(rule.steps) > 1:
        said.append(f"{len(rule.steps)} steps {_within(rule.window)}")
    elif rule.window is not None:
        what = f"{rule.window.count} "
        what += f"different {rule.window.distinct} " if rule.window.distinct else "events "
        said.append(what + _within(rule.window))
    if rule.at_most is not None:
        said.append(f"at most {rule.at_most.count} alerts {_within(rule.at_most)}")
    return "; ".join(said) or None


def _within(window: WindowPlan) -> str:
    each = f" for each {', '.join(window.by)}" if window.by else ""
    return f"within {window.within / 1e9:g} s{each}"


def _warnings(problems: Iterable[Problem]) -> Iterator[Warning]:
    for problem in problems:
        where = problem.where
        yield Warning(
            file=where.file if where else None,
            line=where.line if where else None,
            column=where.column if where else None,
            message=problem.message,
            hint=problem.hint,
        )
