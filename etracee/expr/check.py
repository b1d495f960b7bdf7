"""Check what was written against the catalog: every name, operator and value, for every event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from etracee.catalog import Field
from etracee.catalog.model import Absent, Derivation
from etracee.expr.constants import check_range, count_problem
from etracee.expr.evaluate import compile_tree
from etracee.expr.parse import DEEPEST, ExpressionSyntaxError, parse
from etracee.expr.scope import Report, Scope
from etracee.expr.tree import (
    NO,
    YES,
    AllOf,
    AnyOf,
    Not,
    Reference,
    Test,
    Tree,
    Word,
    Written,
    both,
    children,
    either,
    negate,
)
from etracee.operators import Operator, all_operators
from etracee.problems import SHOWN_AT_MOST, did_you_mean, name_some
from etracee.types import Kind, Type
from etracee.types.base import ConstantError
from etracee.types.text import FixedText

LARGEST = 4096
"""Comparisons of an expression, its macros expanded."""


TYPE = FixedText(64, "name of the event")


def check(text: str, scope: Scope, report: Report) -> Mapping[str, Tree]:
    """Return the expression for each event of the scope; NO for each when it has problems."""
    found = len(report.problems)
    try:
        written = parse(text)
    except ExpressionSyntaxError as problem:
        quoting = report.quoting if problem.unexpected else None
        report.problem(problem.at, problem.message, quoting or problem.hint)
        return dict.fromkeys(scope.events, NO)
    checker = _Checker(text, scope, report)
    if not checker.macros.fit(written):
        return dict.fromkeys(scope.events, NO)
    trees = {event: checker.for_event(written, event) for event in scope.events}
    checker.report_open()
    return trees if len(report.problems) == found else dict.fromkeys(scope.events, NO)


class _Checker:
    """Checks one expression for one event after the other.

    What is wrong for one event may be right for another, as a flag's name is; a problem is one only
    where no event that has the field takes the comparison.
    """

    def __init__(
        self, text: str, scope: Scope, report: Report, macros: _Macros | None = None
    ) -> None:
        self.text, self.scope, self.report = text, scope, report
        self.macros = macros or _Macros(scope, report)
        self.failed: dict[int, tuple[int, str, str | None]] = {}
        self.fitted: set[int] = set()
        self.unknown: set[int] = set()
        self.lacking: dict[int, list[str]] = {}

    def for_event(self, written: Any, event: str) -> Tree:
        if isinstance(written, Not):
            return negate(self.for_event(written.inner, event))
        if isinstance(written, AllOf):
            return both(*self.conjunction(written.parts, event))
        if isinstance(written, AnyOf):
            return either(*(self.for_event(part, event) for part in written.parts))
        return self.leaf(written, event)

    def conjunction(self, parts: tuple[Any, ...], event: str) -> Iterator[Tree]:
        """Check the parts, up to a test of `type` that leaves the event out."""
        for part in parts:
            tree = self.for_event(part, event)
            yield tree
            if tree == NO and getattr(part, "name", None) == "type":
                return

    def report_open(self) -> None:
        self.macros.report_open()
        for at, (place, message, hint) in sorted(self.failed.items()):
            if at not in self.fitted:
                self.report.problem(place, message, hint)
        for at, events in sorted(self.lacking.items()):
            name = self.text[at:].split(maxsplit=1)[0]
            if at in self.fitted:
                lack = "lacks" if len(events) == 1 else "lack"
                self.report.warning(at, f"{name_some(events)} {lack} {name}: it is missing there")

    def leaf(self, written: Written, event: str) -> Tree:
        if written.macro:
            return self.macros.for_event(written.name, event)
        if written.name == "type":
            return self.fold_type(written, event)
        field = self.scope.events[event].get(written.name)
        if field is None:
            return self.absent(written, event)
        tree = (
            self.truth(written, field, event)
            if written.operator is None
            else self.test(written, field, event)
        )
        if written.at not in self.failed:
            self.fitted.add(written.at)
        if isinstance(field.origin, Absent):
            return NO
        return both(self.implied(field.when, event), tree) if field.when else tree

    def absent(self, written: Written, event: str) -> Tree:
        if written.name not in self.scope.fields:
            hint = did_you_mean(written.name, self.scope.fields | {"type"})
            return self.fail(written.at, f"no event here has a field {written.name!r}", hint)
        self.lacking.setdefault(written.at, []).append(event)
        return NO

    def truth(self, written: Written, field: Field, event: str) -> Tree:
        if field.kind is not Kind.TRUTH:
            return self.fail(
                written.at,
                f"{written.name} is no boolean and cannot stand alone",
                f"compare it, as in `{written.name} exists`",
            )
        if not isinstance(field.origin, Derivation):
            return Test(field, all_operators()["="], 1, written.name)
        return self.implied(field.origin.expression, event)

    def implied(self, expression: str, event: str) -> Tree:
        """Return an expression of the catalog's for the event."""
        fields = Scope({event: self.scope.events[event]}, {})
        return check(expression, fields, Report(lambda _: None))[event]

    def fold_type(self, written: Written, event: str) -> Tree:
        field = next(iter(self.scope.events[event].values()))
        named = Field("type", TYPE, TYPE.doc, field.source, field.origin)
        if written.operator is None:
            return self.fail(written.at, "type is no boolean and cannot stand alone")
        tree = self.test(written, named, event)
        if not isinstance(tree, Test):
            return NO
        if isinstance(tree.constant, Reference):
            return self.fail(
                written.at, "type is compared with names, not with another step's field"
            )
        self.fitted.add(written.at)
        self.warn_of_unknown_events(written)
        return YES if compile_tree(tree)({"type": event.encode()}, ()) else NO

    def warn_of_unknown_events(self, written: Written) -> None:
        for word in written.words:
            is_name = written.operator in ("=", "!=", "in") and not word.reference
            if is_name and word.text not in self.scope.events and word.at not in self.unknown:
                self.unknown.add(word.at)
                hint = did_you_mean(word.text, self.scope.events)
                self.report.warning(word.at, f"no event {word.text!r} is watched here", hint)

    def test(self, written: Written, field: Field, event: str) -> Tree:
        operator = all_operators()[written.operator or ""]
        if field.kind not in operator.kinds:
            fitting = [op.symbol for op in all_operators().values() if field.kind in op.kinds]
            return self.fail(
                written.at,
                f"{written.operator} does not apply to {field.name}, which is a {field.type.doc}",
                f"what does: {' '.join(sorted(fitting))}" if fitting else "it stands alone",
                written.operator_at,
            )
        if len(written.words) == 1 and written.words[0].reference:
            name, dot, part = written.words[0].text.partition(".")
            if dot and (name in self.scope.steps or written.words[0].text not in self.scope.lists):
                return self.reference(written, operator, field, Reference(name, part))
        words = self.words(written, operator, field.type)
        if words is None:
            return NO
        return self.constants(written, operator, field, words, event)

    def reference(
        self, written: Written, operator: Operator, field: Field, reference: Reference
    ) -> Tree:
        """Check a comparison with a field of an earlier step."""
        at = written.words[0].at
        step = self.scope.steps.get(reference.step)
        if step is None:
            known = [f"${name}" for name in self.scope.steps]
            steps = did_you_mean(f"${reference.step}", known) or "steps have names by `as:`"
            return self.fail(written.at, f"no earlier step is named {reference.step!r}", steps, at)
        other = next(
            (f[reference.field] for f in step.events.values() if reference.field in f), None
        )
        if other is None:
            hint = did_you_mean(reference.field, step.fields)
            message = f"no event of step {reference.step} has a field {reference.field!r}"
            return self.fail(written.at, message, hint, at)
        if not operator.takes_reference or other.kind is not field.kind:
            kinds = f"{field.name} ({field.kind.value}) with {other.name} ({other.kind.value})"
            return self.fail(
                written.at, f"{operator.symbol} does not compare {kinds}", None, written.operator_at
            )
        return Test(field, operator, reference, _excerpt(self.text, written))

    def words(self, written: Written, operator: Operator, kind: Type) -> list[Word] | None:
        words: list[Word] = []
        for word in written.words:
            if word.reference and word.text not in self.scope.lists:
                hint = did_you_mean(word.text, self.scope.lists)
                self.fail(written.at, f"no list ${word.text} is defined", hint, word.at)
                return None
            texts = self.scope.lists[word.text] if word.reference else (word.text,)
            words += (Word(text, word.at, word.end) for text in texts)
        is_list = written.is_list or any(word.reference for word in written.words)
        wrong = count_problem(operator, kind, is_list, len(words))
        if wrong:
            self.fail(written.at, *wrong, written.operator_at)
            return None
        return words

    def constants(
        self, written: Written, operator: Operator, field: Field, words: list[Word], event: str
    ) -> Tree:
        """Check a comparison with values, of which each may mean something under a condition."""
        groups: dict[str | None, list[Word]] = {}
        for word in words:
            groups.setdefault(field.type.implied(word.text), []).append(word)
        trees = []
        for condition, group in (groups or {None: words}).items():
            tree = self.constant(written, operator, field, group)
            if len(groups) > 1 and isinstance(tree, Test):
                chosen = ", ".join(word.text for word in group)
                tree = replace(tree, text=f"{field.name} {operator.symbol} ({chosen})")
            if condition is not None:
                fulfilled = self.implied(condition, event)
                differs = operator.symbol == "!="
                tree = either(negate(fulfilled), tree) if differs else both(fulfilled, tree)
            trees.append(tree)
        return either(*trees)

    def constant(
        self, written: Written, operator: Operator, field: Field, words: list[Word]
    ) -> Tree:
        try:
            constant = operator.read(field.type, [word.text for word in words]) if words else None
            check_range(field, constant)
        except ValueError as error:
            at = self.place_of_bad_word(operator, field.type, words)
            hint = self.hint(written, error)
            if hint:
                self.failed.pop(written.at, None)
            return self.fail(written.at, f"{field.name}: {error}", hint, at)
        self.warn_of_length(written, field, operator.longest(constant))
        return Test(field, operator, constant, _excerpt(self.text, written))

    def hint(self, written: Written, error: ValueError) -> str | None:
        """Return the way out, unless one is known or nobody will read it: names may be many."""
        _, _, known = self.failed.get(written.at, (0, "", None))
        if known or len(self.failed) > SHOWN_AT_MOST or not isinstance(error, ConstantError):
            return None
        return error.find_hint()

    def place_of_bad_word(self, operator: Operator, kind: Type, words: list[Word]) -> int:
        for word in words:
            try:
                operator.read(kind, [word.text])
            except ValueError:
                return word.at
        return words[0].at

    def warn_of_length(self, written: Written, field: Field, length: int) -> None:
        limit = getattr(field.type.storage, "array", None)
        if field.kind is Kind.TEXT and limit and length > limit - 1:
            message = f"{field.name} holds at most {limit - 1} bytes, the value has {length}"
            self.report.warning(written.at, f"{message}: {too_long(written.operator)}")

    def fail(
        self, at: int, message: str, hint: str | None = None, place: int | None = None
    ) -> Tree:
        self.failed.setdefault(at, (at if place is None else place, message, hint))
        return NO


def too_long(operator: str | None) -> str:
    """Return what comes of comparing with a text that is longer than any value."""
    return {"!=": "this is always true", "in": "it is never found"}.get(
        operator or "", "this is never true"
    )


def _excerpt(text: str, written: Written) -> str:
    """Return a comparison as it stands in the text."""
    end = written.operator_at + len(written.operator or "")
    if written.words:
        end = written.words[-1].end
    return text[written.at : text.index(")", end) + 1 if written.is_list else end]


class _Macros:
    """The macros of one expression, each with a checker for its own text."""

    def __init__(self, scope: Scope, report: Report) -> None:
        self.scope, self.report = scope, report
        self.checkers: dict[str, tuple[Any, _Checker]] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def fit(self, written: Any) -> bool:
        """Parse all macros behind `written`; False, and a problem, if they cannot be expanded."""
        try:
            size, depth = self.measure(written, ())
        except _UnusableMacroError:
            return False
        if size > LARGEST:
            self.report.problem(0, f"with its macros, there are more than {LARGEST} comparisons")
        if depth > DEEPEST:
            self.report.problem(0, f"with its macros, it nests deeper than {DEEPEST} levels")
        return size <= LARGEST and depth <= DEEPEST

    def measure(self, written: Any, above: tuple[str, ...]) -> tuple[int, int]:
        """Return the comparisons and the levels of `written`, its macros expanded."""
        if getattr(written, "macro", False):
            return self.measure_macro(written, above)
        below = [self.measure(child, above) for child in children(written)]
        if not below:
            return 1, 1
        return sum(size for size, _ in below), 1 + max(depth for _, depth in below)

    def measure_macro(self, written: Written, above: tuple[str, ...]) -> tuple[int, int]:
        name = written.name
        checker = self.checkers[above[-1]][1] if above else None
        report = checker.report if checker else self.report
        if name in above:
            circle = " → ".join(f"${n}" for n in (*above[above.index(name) :], name))
            report.problem(written.at, f"macros use each other in a circle: {circle}")
            raise _UnusableMacroError
        if name not in self.scope.macros:
            report.problem(written.at, *self.explain(name))
            raise _UnusableMacroError
        if name not in self.sizes:
            self.sizes[name] = self.measure(self.parse(name), (*above, name))
        return self.sizes[name]

    def parse(self, name: str) -> Any:
        macro = self.scope.macros[name]
        report = Report(macro.place, macro.quoting, self.report.problems, self.report.warnings)
        try:
            written = parse(macro.text)
        except ExpressionSyntaxError as problem:
            quoting = report.quoting if problem.unexpected else None
            report.problem(problem.at, problem.message, quoting or problem.hint)
            raise _UnusableMacroError from None
        self.checkers[name] = written, _Checker(macro.text, self.scope, report, self)
        return written

    def explain(self, name: str) -> tuple[str, str | None]:
        if name in self.scope.lists:
            return f"${name} is a list and cannot stand alone", f"as in `comm in ${name}`"
        step, dot, _ = name.partition(".")
        if dot and step in self.scope.steps:
            return f"${name} is a value and cannot stand alone", "compare a field with it"
        hint = did_you_mean(name, self.scope.macros)
        return f"no macro ${name} is defined", hint

    def for_event(self, name: str, event: str) -> Tree:
        """Return the macro for an event, which fit() has found to have an end."""
        written, checker = self.checkers[name]
        return checker.for_event(written, event)

    def report_open(self) -> None:
        """Note what no event takes, in each macro once."""
        checkers, self.checkers = self.checkers, {}
        for _, checker in checkers.values():
            checker.report_open()


class _UnusableMacroError(Exception):
    """A macro that cannot be expanded; the reason has been noted."""
