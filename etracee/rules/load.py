"""Read rule files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from etracee.problems import Problem, ProblemsError
from etracee.profile.model import Located, NamedList, named_lists
from etracee.profile.validate import validate
from etracee.resources import find_file
from etracee.rules.model import Rule, RuleTest, WrittenRule, WrittenRules
from etracee.source import Document, Path_, read_document


def load_rules(names: Iterable[Located]) -> tuple[Rule, ...]:
    """Return the rules of all files, in their order; ProblemsError with all that is wrong.

    A name that a profile brings is looked up beside it, one of the command line in the working
    directory too. A file that is named twice is read once.
    """
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    for path in dict.fromkeys(_find(name) for name in names):
        try:
            _add_file(path, rules)
        except ProblemsError as error:
            problems += error.problems
    if problems:
        raise ProblemsError(problems)
    return tuple(rules.values())


def _find(name: Located) -> Path:
    if name.document is None:
        return find_file("rules", name.text)
    place = name.document.place(name.path)
    return find_file("rules", name.text, relative_to=Path(name.document.file).parent, where=place)


def _add_file(path: Path, rules: dict[str, Rule]) -> None:
    document = read_document(path)
    written = validate(document, WrittenRules)
    lists = named_lists(document, written.lists)
    problems = []
    for index, entry in enumerate(written.rules):
        rule = _rule(document, ("rules", index), entry, lists)
        if entry.id in rules:
            place = document.place(("rules", index, "id"))
            problems.append(Problem(place, f"the rule id {entry.id!r} is used a second time"))
        rules[entry.id] = rule
    if problems:
        raise ProblemsError(problems)


def _rule(document: Document, path: Path_, entry: WrittenRule, lists: dict[str, NamedList]) -> Rule:
    events = (Located(n, document, (*path, "events", i)) for i, n in enumerate(entry.events))
    output = entry.output
    message = (
        Located(output, document, (*path, "output"))
        if output is not None
        else Located(entry.title.replace("{", "{{").replace("}", "}}"))
    )
    tests = (
        RuleTest(t.type, t.values, t.fires == "true", Located("", document, (*path, "tests", i)))
        for i, t in enumerate(entry.tests)
    )
    return Rule(
        id=Located(entry.id, document, (*path, "id")),
        title=entry.title,
        level=entry.level,
        tags=tuple(entry.tags),
        events=tuple(events),
        condition=Located(entry.condition, document, (*path, "condition")),
        output=message,
        tests=tuple(tests),
        lists=lists,
    )
