"""Read rule files, and those that they extend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from etracee.problems import Place, Problem, ProblemsError, did_you_mean, wrong
from etracee.profile.definitions import Definition, definitions_of
from etracee.profile.validate import validate
from etracee.profile.written import Located
from etracee.resources import find_file
from etracee.rules.build import build_rule, build_scenario, exceptions_of
from etracee.rules.model import Rule, RuleSet, Scenario
from etracee.rules.written import WrittenAdjustment, WrittenRules
from etracee.source import Document, read_document

MOST_FILES = 1000
"""Rule files that are read, all of them together."""
DEEPEST = 50
"""Rule files of which one extends the next."""
MOST_RULES = 5000
"""Rules of all files together: more would take minutes to compile."""


def load_rules(names: Iterable[Located]) -> RuleSet:
    """Return the rules of all files, in their order; ProblemsError with all that is wrong.

    A name that a profile brings is looked up beside it, one of the command line in the working
    directory too. A file that is named twice is read once.
    """
    reader = _Reader()
    for name in names:
        reader.read(name)
    return reader.rule_set()


@dataclass
class _Reader:
    files: dict[Path, None] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    definitions: list[Definition] = field(default_factory=list)
    scenarios: list[Scenario] = field(default_factory=list)
    adjustments: list[tuple[Located, WrittenAdjustment]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    depth: int = 0

    def read(self, name: Located) -> None:
        """Read the file, after those that it extends; what is wrong is noted."""
        try:
            path = _find(name)
            if path.resolve() not in self.files:
                self._read(path, name.place())
        except ProblemsError as error:
            self.problems += error.problems

    def _read(self, path: Path, where: Place | None) -> None:
        self.files[path.resolve()] = None
        if len(self.files) > MOST_FILES:
            raise wrong(where, f"more than {MOST_FILES} rule files")
        if self.depth == DEEPEST:
            raise wrong(where, f"more than {DEEPEST} rule files extend one another in a row")
        document = read_document(path)
        written = validate(document, WrittenRules)
        self.depth += 1
        for index, base in enumerate(written.extends):
            self.read(Located(base, document, ("extends", index)))
        self.depth -= 1
        self.definitions += definitions_of(document, written.lists, written.macros)
        for index, entry in enumerate(written.rules):
            self._add(build_rule(document, ("rules", index), entry), enabled=entry.enabled)
        for index, scenario in enumerate(written.scenarios):
            self.scenarios.append(build_scenario(document, ("scenarios", index), scenario))
        for rule, adjustment in written.adjust.items():
            self.adjustments.append((Located(rule, document, ("adjust", rule)), adjustment))

    def _add(self, rule: Rule, enabled: str) -> None:
        if len(self.rules) == MOST_RULES:
            raise wrong(rule.id.place(), f"more than {MOST_RULES} rules")
        before = self.rules.get(rule.id.text)
        if before is not None:
            message = f"the rule id {rule.id.text!r} is used a second time"
            hint = f"the first is at {before.id.place()}"
            self.problems.append(Problem(rule.id.place(), message, hint))
        self.rules[rule.id.text] = rule
        if enabled == "false":
            self.disabled.add(rule.id.text)

    def rule_set(self) -> RuleSet:
        """Return all that was read, adjusted; ProblemsError with all that is wrong."""
        for name, adjustment in self.adjustments:
            self._adjust(name, adjustment)
        if self.problems:
            raise ProblemsError(dict.fromkeys(self.problems))
        rules = tuple(rule for name, rule in self.rules.items() if name not in self.disabled)
        return RuleSet(rules, tuple(self.definitions), tuple(self.scenarios))

    def _adjust(self, name: Located, adjustment: WrittenAdjustment) -> None:
        rule = self.rules.get(name.text)
        if rule is None:
            hint = did_you_mean(name.text, self.rules) or "name its file under `extends:`"
            self.problems.append(
                Problem(name.key_place(), f"no rule {name.text!r} to adjust", hint)
            )
            return
        assert name.document is not None
        more = exceptions_of(name.document, name.path, adjustment.exceptions)
        self.rules[name.text] = replace(
            rule,
            level=adjustment.level or rule.level,
            exceptions=(*rule.exceptions, *more),
        )
        if adjustment.enabled == "true":
            self.disabled.discard(name.text)
        elif adjustment.enabled == "false":
            self.disabled.add(name.text)


def _find(name: Located) -> Path:
    document: Document | None = name.document
    if document is None:
        return find_file("rules", name.text)
    return find_file("rules", name.text, relative_to=Path(document.file).parent, where=name.place())
