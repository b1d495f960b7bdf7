"""The rules' half of the first pass: steps, windows, outputs and exceptions of every rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from etracee.catalog import Catalog, EventType, Field
from etracee.expr.scope import Scope
from etracee.expr.tree import YES, AllOf, Reference, Test, Tree, both, leaves, negate
from etracee.plan.findings import Findings, Names, fields_of, report_for
from etracee.plan.model import Join, Match, RulePlan, StepPlan, WindowPlan
from etracee.problems import Problem, did_you_mean, name_some
from etracee.profile.written import Located
from etracee.rules import Rule
from etracee.rules.model import Step, Window
from etracee.rules.output import Piece, parse_output
from etracee.types import Kind

ENVELOPE = {"type", "timestamp", "human_time", "syscall_id"}
"""Keys that every event has besides its fields."""


class RuleResolver:
    """Turns rules into plans; what is wrong with them is noted in `findings`."""

    def __init__(self, catalog: Catalog, names: Names, findings: Findings) -> None:
        self.catalog, self.names, self.findings = catalog, names, findings

    def resolve(self, rule: Rule) -> RulePlan:
        """Return the plan of a rule; of a wrong one, something of that shape."""
        scopes: list[Scope] = []
        steps: list[StepPlan] = []
        for step in rule.steps:
            scope = self.scope(step, zip(rule.steps, scopes, strict=False))
            steps.append(self.step(step, scope, rule.exceptions))
            scopes.append(scope)
        named = {s.name.text: scope for s, scope in zip(rule.steps, scopes, strict=True) if s.name}
        return RulePlan(
            id=rule.id.text,
            title=rule.title,
            level=rule.level,
            tags=rule.tags,
            output=self.output(rule, scopes[-1], named),
            steps=tuple(steps),
            window=self.window(rule.window, scopes),
            at_most=self.window(rule.at_most, scopes[-1:]),
            actions=rule.actions,
        )

    def scope(self, step: Step, before: Iterable[tuple[Step, Scope]]) -> Scope:
        plain = self.names.scope(self.events(step.events))
        if not plain.events and not self.findings.problems:
            self.findings.warning(step.events[0], "this host has none of these events")
        earlier = {s.name.text: scope for s, scope in before if s.name}
        if step.name:
            self.check_name(step.name)
        if step.name and step.name.text in earlier:
            self.findings.problem(step.name, f"two steps are named {step.name.text!r}")
        return Scope(plain.events, plain.lists, plain.macros, earlier)

    def check_name(self, name: Located) -> None:
        """Note a step's name that cannot be told from the beginning of a field's."""
        if "." in name.text:
            message = f"the name of a step has no dot: {name.text!r} would not be found"
            self.findings.problem(name, message, "use - or _")
            return
        fields = {
            *self.catalog.context,
            *(f for e in self.catalog.events.values() for f in e.fields),
        }
        hidden = sorted(field for field in fields if field.startswith(f"{name.text}."))
        if hidden:
            message = f"the step {name.text} hides the field {hidden[0]} in `output`"
            self.findings.warning(name, message, "another name lets both be shown")

    def events(self, named: Iterable[Located]) -> list[EventType]:
        found: list[str] = []
        for event in named:
            is_family = event.text.startswith("$")
            family = self.names.lists.get(event.text[1:]) if is_family else None
            members = [event.text] if family is None else family
            here = [name for name in members if name not in self.catalog.absent]
            unknown = [name for name in here if name not in self.catalog.events]
            if unknown:
                self.report_unknown_event(event, unknown[0])
                continue
            found += here
        return [self.catalog.events[name] for name in dict.fromkeys(found)]

    def report_unknown_event(self, event: Located, name: str) -> None:
        families = (f"${family}" for family in self.catalog.families)
        hint = did_you_mean(name, [*self.catalog.events, *families]) or "see `etracee list events`"
        self.findings.problem(event, f"no event or family is named {name!r}", hint)

    def step(self, step: Step, scope: Scope, exceptions: tuple[Located, ...]) -> StepPlan:
        trees: Mapping[str, Tree] = dict.fromkeys(scope.events, YES)
        if step.condition is not None and scope.events:
            trees = self.findings.check(step.condition, scope)
        for exception in exceptions:
            outside = self.findings.check(exception, scope) if scope.events else {}
            trees = {name: both(trees[name], negate(outside[name])) for name in outside}
        return StepPlan(step.name.text if step.name else None, trees)

    def window(self, window: Window | None, scopes: list[Scope]) -> WindowPlan | None:
        if window is None:
            return None
        for field in (*window.by, *([window.distinct] if window.distinct else [])):
            self.check_key(field, scopes)
        return WindowPlan(
            count=window.count,
            within=round(window.within * 1e9),
            by=tuple(field.text for field in window.by),
            distinct=window.distinct.text if window.distinct else None,
        )

    def check_key(self, field: Located, scopes: list[Scope]) -> None:
        for scope in scopes:
            found = fields_of(scope, field.text)
            if not found and scope.events:
                hint = did_you_mean(field.text, scope.fields)
                message = f"no event here has a field {field.text!r}"
                self.findings.problem(field, message, hint)
                return
            lacking = [event for event in scope.events if event not in found]
            if lacking:
                lack = "lacks" if len(lacking) == 1 else "lack"
                message = f"{name_some(lacking)} {lack} {field.text}: it is null there"
                self.findings.warning(field, message)
            if any(f.kind is Kind.TRUTH for f in found.values()):
                self.findings.problem(field, f"{field.text} is a boolean: use it in the condition")

    def output(self, rule: Rule, last: Scope, named: Mapping[str, Scope]) -> tuple[Piece, ...]:
        try:
            pieces = parse_output(rule.output.text)
        except ValueError as error:
            message, at = error.args
            place = report_for(rule.output).place(at)
            self.findings.problems.append(Problem(place, f"output: {message}"))
            return ()
        for piece in pieces:
            if piece.is_field:
                self.check_piece(rule, piece, last, named)
        return pieces

    def check_piece(
        self, rule: Rule, piece: Piece, last: Scope, named: Mapping[str, Scope]
    ) -> None:
        step, dot, name = piece.text.partition(".")
        scope = named[step] if dot and step in named else last
        field = name if dot and step in named else piece.text
        known = scope.fields | ENVELOPE
        if field not in known and scope.events:
            place = report_for(rule.output).place(piece.at + 1)
            hint = did_you_mean(field, known)
            message = f"output: no event of the rule has a field {field!r}"
            self.findings.problems.append(Problem(place, message, hint))


def matches_of(
    index: int, rule: RulePlan, event: str, fields: Mapping[str, Field]
) -> Iterable[Match]:
    """Yield the steps of rule `index` that an event with these fields may be."""
    for number, step in enumerate(rule.steps):
        if event not in step.conditions:
            continue
        joins = _common_joins(step)
        own, rest = _split(step.conditions[event], joins)
        reads = _reads(rule, number, rest, fields)
        used = tuple(join for join in _joins(step.conditions[event]) if join in joins)
        yield Match(index, number, own, used, rest, reads, _referenced(rule, number))


def _parts(tree: Tree) -> tuple[Tree, ...]:
    return tree.parts if isinstance(tree, AllOf) else (tree,)


def _joins(tree: Tree) -> list[Join]:
    return [
        Join(part.field, part.constant)
        for part in _parts(tree)
        if isinstance(part, Test)
        and isinstance(part.constant, Reference)
        and part.operator.symbol == "="
    ]


def _common_joins(step: StepPlan) -> list[Join]:
    """Return the joins that hold for every event that can be the step."""
    found = [
        {(join.field.name, join.reference): join for join in _joins(tree)}
        for tree in step.conditions.values()
    ]
    return [
        join
        for joins in found
        for key, join in joins.items()
        if all(key in others for others, tree in zip(found, step.conditions.values(), strict=True))
    ]


def _split(tree: Tree, joins: list[Join]) -> tuple[Tree, Tree]:
    """Return what the event alone decides, and what needs those of earlier steps, joins apart."""
    own, rest = [], []
    for part in _parts(tree):
        if not _references(part):
            own.append(part)
        elif not (isinstance(part, Test) and _join_of(part) in joins):
            rest.append(part)
    return both(*own), both(*rest)


def _join_of(test: Test) -> Join | None:
    found = _joins(test)
    return found[0] if found else None


def _references(tree: Tree) -> list[Reference]:
    return [
        leaf.constant
        for leaf in leaves(tree)
        if isinstance(leaf, Test) and isinstance(leaf.constant, Reference)
    ]


def _reads(
    rule: RulePlan, number: int, rest: Tree, fields: Mapping[str, Field]
) -> tuple[Field, ...]:
    """Return the fields of an event whose values the engine needs when it is step `number`."""
    step = rule.steps[number]
    names = [
        *_window_fields(rule),
        *_referenced(rule, number),
        *(join.field.name for tree in step.conditions.values() for join in _joins(tree)),
        *(leaf.field.name for leaf in leaves(rest) if isinstance(leaf, Test)),
        *_output_fields(rule, number),
        *(("pid", "start_time") if "kill" in rule.actions else ()),
    ]
    return tuple(fields[name] for name in dict.fromkeys(names) if name in fields)


def _window_fields(rule: RulePlan) -> Iterator[str]:
    for window in (rule.window, rule.at_most):
        if window is not None:
            yield from window.by
            if window.distinct:
                yield window.distinct


def _referenced(rule: RulePlan, number: int) -> frozenset[str]:
    """Return the fields of step `number` that later steps compare with."""
    name = rule.steps[number].name
    return frozenset(
        reference.field
        for later in rule.steps[number + 1 :]
        for tree in later.conditions.values()
        for reference in _references(tree)
        if reference.step == name
    )


def _output_fields(rule: RulePlan, number: int) -> Iterator[str]:
    step, is_last = rule.steps[number], number == len(rule.steps) - 1
    for piece in rule.output:
        prefix, dot, name = piece.text.partition(".")
        if piece.is_field and dot and prefix == step.name:
            yield name
        elif piece.is_field and is_last:
            yield piece.text
