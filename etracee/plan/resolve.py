"""First pass: names become events and fields, texts become checked expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as default

from etracee.catalog import Catalog, EventType, Field
from etracee.expr.check import Report, Scope, check, scope_of
from etracee.expr.tree import YES, Tree, both
from etracee.plan.model import Request, RulePlan
from etracee.problems import Place, Problem, ProblemsError, did_you_mean
from etracee.profile import Options, Profile
from etracee.profile.model import Located, NamedList
from etracee.rules import Rule
from etracee.rules.output import Piece, parse_output

ALWAYS = ("tid",)
"""Context that every event has, whatever the profile says; `ret` too, for calls."""


@dataclass(frozen=True)
class ResolvedEvent:
    """An event with its fields to show, what keeps it, and the conditions of rules by index."""

    type: EventType
    shown: tuple[Field, ...]
    keep: Tree
    rules: Mapping[int, Tree]
    delivered: bool


@dataclass(frozen=True)
class Resolved:
    """What the pass returns."""

    events: tuple[ResolvedEvent, ...]
    rules: tuple[RulePlan, ...]
    warnings: tuple[Problem, ...]


@dataclass
class _Findings:
    """Problems and warnings of all expressions."""

    problems: list[Problem] = default(default_factory=list)
    warnings: list[Problem] = default(default_factory=list)

    def check(self, text: Located, scope: Scope, option: str | None = None) -> Mapping[str, Tree]:
        report = _report_for(text)
        trees = check(text.text, scope, report)
        named = f"{option}: " if option else ""
        self.problems += (Problem(p.where, named + p.message, p.hint) for p in report.problems)
        self.warnings += report.warnings
        return trees

    def problem(self, text: Located, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(_place(text), message, hint))


def resolve(
    profile: Profile, rules: tuple[Rule, ...], request: Request, catalog: Catalog
) -> Resolved:
    """Return events and rules with every name known; ProblemsError with all that is not."""
    return _Resolver(profile, request, catalog).resolve(rules)


def resolve_rules(rules: tuple[Rule, ...], catalog: Catalog) -> tuple[RulePlan, ...]:
    """Return rules with every name known, without a profile; ProblemsError with what is not."""
    nothing = Profile("", None, None, (), (), {}, {}, (), Options(), ())
    return _Resolver(nothing, Request(), catalog).resolve(rules).rules


class _Resolver:
    def __init__(self, profile: Profile, request: Request, catalog: Catalog) -> None:
        self.profile, self.request, self.catalog = profile, request, catalog
        self.findings = _Findings()
        self.families = {name: tuple(events) for name, events in catalog.families.items()}

    def resolve(self, rules: tuple[Rule, ...]) -> Resolved:
        context = self.context()
        lists = self.lists(self.profile.lists)
        watched = self.watched()
        rule_plans = tuple(self.rule(rule) for rule in rules)
        ruled = [name for rule in rule_plans for name in rule.conditions]
        types = [self.catalog.events[name] for name in dict.fromkeys((*watched, *ruled))]
        keep = self.keep(types, watched, lists)
        for event in types:
            self.check_fields(event)
        if self.findings.problems:
            raise ProblemsError(sorted(self.findings.problems, key=_order))
        events = tuple(
            ResolvedEvent(
                type=event,
                shown=self.shown(event, context),
                keep=keep[event.name],
                rules={
                    index: rule.conditions[event.name]
                    for index, rule in enumerate(rule_plans)
                    if event.name in rule.conditions
                },
                delivered=event.name in watched,
            )
            for event in types
        )
        return Resolved(events, rule_plans, tuple(dict.fromkeys(self.findings.warnings)))

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
            else:
                hint = did_you_mean(name, self.catalog.events) or "see `etracee list events`"
                place = _key_place(event.name)
                self.findings.problems.append(Problem(place, f"no event is named {name!r}", hint))
        for name in self.request.events:
            if name not in self.profile.events:
                hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
                message = f"--event: the profile has no event {name!r}"
                self.findings.problems.append(Problem(None, message, hint))
        return [name for name in names if not self.request.events or name in self.request.events]

    def lists(self, own: Mapping[str, NamedList]) -> dict[str, tuple[str, ...]]:
        """Return the words of all lists, the catalog's families among them."""
        for name in own.keys() & self.families.keys():
            message = f"the list {name!r} has the name of a family of events"
            self.findings.problems.append(Problem(_key_place(own[name].name), message))
        return {**self.families, **{name: named.words for name, named in own.items()}}

    def keep(
        self, types: list[EventType], watched: list[str], lists: dict[str, tuple[str, ...]]
    ) -> dict[str, Tree]:
        """Return, for each event, the conjunction of all filters that bound it."""
        scope = scope_of(types, self.catalog.context, lists)
        trees: dict[str, list[Tree]] = {event.name: [YES] for event in types}
        options = ((Located(text), option) for option, text in self.request.filters)
        for text, option in (*((text, None) for text in self.profile.filters), *options):
            for name, tree in self.findings.check(text, scope, option).items():
                trees[name].append(tree)
        for name in watched:
            own = self.profile.events[name].filter
            if own:
                narrow = scope_of([self.catalog.events[name]], self.catalog.context, lists)
                trees[name].append(self.findings.check(own, narrow)[name])
        return {name: both(*parts) for name, parts in trees.items()}

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

    def check_fields(self, event: EventType) -> None:
        watched = self.profile.events.get(event.name)
        for name in (watched.fields if watched else None) or ():
            if name.text not in event.fields:
                hint = did_you_mean(name.text, event.fields) or f"it has {', '.join(event.fields)}"
                self.findings.problem(name, f"{event.name} has no field {name.text!r}", hint)

    def rule(self, rule: Rule) -> RulePlan:
        types = self.rule_events(rule)
        lists = self.lists({**self.profile.lists, **rule.lists})
        scope = scope_of(types, self.catalog.context, lists)
        conditions = self.findings.check(rule.condition, scope) if types else {}
        output = self.output(rule, scope)
        return RulePlan(rule.id.text, rule.title, rule.level, rule.tags, output, conditions)

    def rule_events(self, rule: Rule) -> list[EventType]:
        names: list[str] = []
        for event in rule.events:
            family = (
                self.families.get(event.text.removeprefix("$")) if event.text[:1] == "$" else None
            )
            if family is None and event.text not in self.catalog.events:
                known = [*self.catalog.events, *(f"${name}" for name in self.families)]
                hint = did_you_mean(event.text, known) or "see `etracee list events`"
                self.findings.problem(event, f"no event or family is named {event.text!r}", hint)
                continue
            names += family or (event.text,)
        return [self.catalog.events[name] for name in dict.fromkeys(names)]

    def output(self, rule: Rule, scope: Scope) -> tuple[Piece, ...]:
        try:
            pieces = parse_output(rule.output.text)
        except ValueError as error:
            message, at = error.args
            place = _report_for(rule.output).place(at)
            self.findings.problems.append(Problem(place, f"output: {message}"))
            return ()
        for piece in pieces:
            if piece.is_field and piece.text not in scope.fields | ENVELOPE and scope.events:
                place = _report_for(rule.output).place(piece.at + 1)
                hint = did_you_mean(piece.text, scope.fields | ENVELOPE)
                self.findings.problems.append(
                    Problem(place, f"output: no event of the rule has a field {piece.text!r}", hint)
                )
        return pieces


ENVELOPE = {"type", "timestamp", "human_time", "syscall_id"}
"""Keys that every event has besides its fields."""


def _report_for(text: Located) -> Report:
    document = text.document
    if document is None:
        return Report(lambda _: None)
    return Report(document.offset_place(text.path), document.quoting_hint(text.path))


def _place(text: Located) -> Place | None:
    return text.document.place(text.path) if text.document else None


def _key_place(text: Located) -> Place | None:
    return text.document.key_place(text.path) if text.document else None


def _order(problem: Problem) -> Place:
    return problem.where or Place("", 0, 0)
