"""First pass: names become events and fields, texts become checked expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from etracee.catalog import Catalog, EventType, Field
from etracee.catalog.model import Feed
from etracee.expr.tree import NO, YES, Test, Tree, both, leaves
from etracee.plan.findings import Findings, Names
from etracee.plan.model import Match, Request, RulePlan
from etracee.plan.resolve_counts import CountResolver, ResolvedCount
from etracee.plan.resolve_rules import RuleResolver, matches_of
from etracee.problems import Place, Problem, ProblemsError, did_you_mean, name_some, wrong
from etracee.profile import Options, Profile
from etracee.profile.families import families_of
from etracee.profile.written import Located
from etracee.rules import RuleSet
from etracee.source import Path_

ALWAYS = ("tid",)
"""Context that every event has, whatever the profile says; `ret` too, for calls."""


@dataclass(frozen=True)
class ResolvedEvent:
    """An event with its fields to show, what keeps it, and the steps of rules that it can be."""

    type: EventType
    shown: tuple[Field, ...]
    keep: Tree
    matches: tuple[Match, ...]
    delivered: bool
    counted: ResolvedCount | None
    feeds: Feed | None = None
    """What the table of processes is told, if somebody reads of it: then of every such event."""


@dataclass(frozen=True)
class Resolved:
    """What the pass returns."""

    events: tuple[ResolvedEvent, ...]
    rules: tuple[RulePlan, ...]
    warnings: tuple[Problem, ...]


def resolve(profile: Profile, rules: RuleSet, request: Request, catalog: Catalog) -> Resolved:
    """Return events and rules with every name known; ProblemsError with all that is not."""
    return _Resolver(profile, rules, request, catalog).resolve()


def resolve_rules(rules: RuleSet, catalog: Catalog) -> tuple[RulePlan, ...]:
    """Return rules with every name known, without a profile; ProblemsError with what is not."""
    nothing = Profile("", None, None, (), (), {}, (), (), Options(), ())
    return _Resolver(nothing, rules, Request(), catalog).resolve().rules


class _Resolver:
    def __init__(
        self, profile: Profile, rules: RuleSet, request: Request, catalog: Catalog
    ) -> None:
        self.profile, self.rules, self.request = profile, rules, request
        self.catalog = catalog
        self.findings = Findings(list(profile.problems))
        definitions = (*rules.definitions, *profile.definitions)
        self.names = Names(catalog, definitions, self.findings)

    def resolve(self) -> Resolved:
        context = self.context()
        watched = self.watched()
        resolver = RuleResolver(self.catalog, self.names, self.findings)
        rules = tuple(resolver.resolve(rule) for rule in self.rules.rules)
        ruled = [name for rule in rules for name in rule.events]
        types = [self.catalog.events[name] for name in dict.fromkeys((*watched, *ruled))]
        keep = self.keep(types, watched)
        counted = self.counted(watched)
        self.check_fields({event.name for event in types})
        if self.findings.problems:
            raise ProblemsError(sorted(_distinct(self.findings.problems), key=_order))
        events = tuple(
            self.event(event, event.name in watched, context, keep[event.name], rules, counted)
            for event in types
            if event.name in ruled or not self.request.alerts_only
        )
        if not events:
            raise wrong(None, "--alerts-only: no rule looks at any event", "name some by --rules")
        self.warn_of_actions()
        return Resolved(events, rules, tuple(dict.fromkeys(self.findings.warnings)))

    def warn_of_actions(self) -> None:
        """Say which rules would do more than tell, if they were allowed to."""
        for rule in self.rules.rules:
            if "kill" in rule.actions and not self.request.allow_actions:
                message = f"{rule.id.text} only alerts: its action `kill` is not allowed"
                self.findings.warning(rule.id, message, "--allow-actions allows it")

    def matches(self, event: EventType, rules: tuple[RulePlan, ...]) -> tuple[Match, ...]:
        """Return the steps of rules that the event can be."""
        fields = {**self.catalog.context, **event.fields}
        return tuple(
            match
            for index, rule in enumerate(rules)
            for match in matches_of(index, rule, event.name, fields)
            if NO not in (match.tree, match.rest)
        )

    def context(self) -> tuple[Field, ...]:
        known = self.catalog.context
        for name in self.profile.context:
            if name.text not in known:
                hint = did_you_mean(name.text, known) or f"there are {', '.join(known)}"
                self.findings.problem(name, f"no context field is named {name.text!r}", hint)
        return tuple(known[name.text] for name in self.profile.context if name.text in known)

    def watched(self) -> list[str]:
        """Return the events to deliver; unknown ones are noted."""
        names = []
        for name, event in self.profile.events.items():
            if name in self.catalog.events:
                names.append(name)
            elif name in self.catalog.elsewhere:
                self.findings.warning(event.name, f"{self.catalog.arch} has no call {name}")
            elif name in self.catalog.unseen:
                why = self.catalog.unseen[name]
                self.findings.warning(event.name, f"this kernel cannot show {name}: {why}")
            else:
                self.findings.problem_at_key(event.name, *self.unknown(name))
        for name in self.request.events:
            if name not in self.profile.events:
                hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
                message = f"--event: the profile has no event {name!r}"
                self.findings.problems.append(Problem(None, message, hint))
        return [name for name in names if not self.request.events or name in self.request.events]

    def unknown(self, name: str) -> tuple[str, str]:
        """Return what to say of an event or a family that is not known, and the advice."""
        kind, what = (
            ("families", "family of events") if name.startswith("$") else ("events", "event")
        )
        families = (f"${family}" for family in families_of(self.catalog))
        hint = did_you_mean(name, [*self.catalog.events, *families]) or f"see `etracee list {kind}`"
        return f"no {what} is named {name!r}", hint

    def counted(self, watched: list[str]) -> dict[str, ResolvedCount]:
        """Return what the watched events are counted by that are not delivered one by one."""
        resolver = CountResolver(self.profile, self.catalog, self.findings)
        return resolver.resolve([self.catalog.events[name] for name in watched])

    def keep(self, types: list[EventType], watched: list[str]) -> dict[str, Tree]:
        """Return, for each event, the conjunction of all filters that bound it."""
        scope = self.names.scope(types)
        trees: dict[str, list[Tree]] = {event.name: [YES] for event in types}
        options = ((Located(text), option) for option, text in self.request.filters)
        for text, option in (*((text, None) for text in self.profile.filters), *options):
            for name, tree in self.findings.check(text, scope, option).items():
                trees[name].append(tree)
        events = self.profile.events
        for text, names in _with_events((n, e.filter) for n, e in events.items() if e.filter):
            known = self.known(names) if set(names).intersection(watched) else []
            for told, tree in self.findings.check(text, self.names.scope(known)).items():
                if told in watched:
                    trees[told].append(tree)
        return {name: both(*parts) for name, parts in trees.items()}

    def known(self, names: Iterable[str]) -> list[EventType]:
        return [self.catalog.events[name] for name in names if name in self.catalog.events]

    def event(
        self,
        event: EventType,
        is_watched: bool,
        context: tuple[Field, ...],
        keep: Tree,
        rules: tuple[RulePlan, ...],
        counted: dict[str, ResolvedCount],
    ) -> ResolvedEvent:
        """Return the event; one that only alerts show has what its rules read, too."""
        matches = self.matches(event, rules)
        is_told = is_watched and not self.request.alerts_only
        count = counted.get(event.name) if is_told else None
        is_delivered = is_told and count is None
        shown = self.shown(event, context) if is_delivered or matches else ()
        if not is_delivered:
            tests = (leaf for match in matches for leaf in leaves(match.tree))
            read = (test.field for test in tests if isinstance(test, Test))
            shown = tuple(dict.fromkeys((*shown, *read, *(f for m in matches for f in m.reads))))
        return ResolvedEvent(event, shown, keep, matches, is_delivered, count)

    def shown(self, event: EventType, context: tuple[Field, ...]) -> tuple[Field, ...]:
        """Return context, then what is always there, then the event's own fields."""
        watched = self.profile.events.get(event.name)
        names: Iterable[str] = event.default
        if watched and watched.fields is not None:
            names = [name.text for name in watched.fields]
        always = [self.catalog.context[name] for name in ALWAYS]
        result = [event.fields["ret"]] if "ret" in event.fields else []
        own = [event.fields[name] for name in names if name in event.fields]
        return tuple(dict.fromkeys((*context, *always, *result, *own)))

    def check_fields(self, used: AbstractSet[str]) -> None:
        """Note what is to be shown and no event has for which it was written, or some have not."""
        events = self.profile.events.items()
        written = ((event, name) for event, said in events for name in said.fields or ())
        for name, named in _with_events(written):
            known = self.known(named) if used & set(named) else []
            lacking = [event for event in known if name.text not in event.fields]
            if lacking and len(lacking) < len(known):
                lack = f"{name_some([event.name for event in lacking])} {_has(lacking)} no field"
                self.findings.warning(name, f"{lack} {name.text!r}: it is not shown there")
            elif lacking:
                self.findings.problem(name, *_unknown_field(name.text, lacking))


def _with_events(written: Iterable[tuple[str, Located]]) -> Iterable[tuple[Located, list[str]]]:
    """Return each text once, with all events that it was written for: several of a family."""
    found: dict[tuple[int, Path_, str], tuple[Located, list[str]]] = {}
    for event, text in written:
        key = (id(text.document), text.path, text.text)
        found.setdefault(key, (text, []))[1].append(event)
    return found.values()


def _has(events: Sequence[EventType]) -> str:
    return "has" if len(events) == 1 else "have"


def _unknown_field(name: str, events: Sequence[EventType]) -> tuple[str, str]:
    """Return what to say of a field that none of the events has, and the advice."""
    near = did_you_mean(name, {field: None for event in events for field in event.fields})
    if len(events) == 1:
        hint = near or f"it has {', '.join(events[0].fields)}"
        return f"{events[0].name} has no field {name!r}", hint
    named = name_some([event.name for event in events])
    return f"none of {named} has a field {name!r}", near or "see `etracee list fields`"


def _distinct(problems: Iterable[Problem]) -> Iterable[Problem]:
    """Return each problem once; of an aliased filter, events differ in what comes nearest."""
    found: dict[tuple[Place | None, str], Problem] = {}
    for problem in problems:
        found.setdefault((problem.where, problem.message), problem)
    return found.values()


def _order(problem: Problem) -> Place:
    return problem.where or Place("", 0, 0)
