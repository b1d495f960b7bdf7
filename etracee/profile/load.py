"""Read profiles and merge them with what they extend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from etracee.problems import Place, Problem, ProblemsError, wrong
from etracee.profile.definitions import Definition, definitions_of, merge_definitions
from etracee.profile.model import (
    DEFAULT_CONTEXT,
    Counting,
    Options,
    Profile,
    WatchedEvent,
    WrittenEvent,
    WrittenEventCount,
    WrittenProfile,
)
from etracee.profile.validate import validate_apart
from etracee.profile.written import Located
from etracee.resources import find_file
from etracee.source import Document, Path_, read_document

MOST_FILES = 100
"""Files that a profile may extend, all of them together."""
_APART = ("version", "description", "options", "filter", "context")
"""Keys without which all other names of a profile mean the same."""
_BOUND_OF_EVENT = ("mode", "count")
"""Keys of an event of which that is not so."""


@dataclass(frozen=True)
class _File:
    path: Path
    document: Document
    written: WrittenProfile
    problems: list[Problem]


def load_profile(name: str) -> Profile:
    """Return the profile that the command line names; ProblemsError with all that is wrong."""
    profile = read_profile(name)
    if profile.problems:
        raise ProblemsError(profile.problems)
    return profile


def read_profile(name: str) -> Profile:
    """Return the profile with the `problems` that do not keep others from being found.

    ProblemsError with all that is wrong in its files, if there are others.
    """
    files: list[_File] = []
    _collect(find_file("profiles", name), (), files)
    merged = _Merged()
    for file in files:
        merged.add(file)
    apart = tuple(problem for file in files for problem in file.problems)
    if merged.problems:
        raise ProblemsError((*apart, *merged.problems))
    profile = replace(merged.profile(files), problems=apart)
    if not profile.events:
        own = files[-1].document
        nothing = Problem(
            own.place(()), "the profile watches no events", "add some under `events:`"
        )
        raise ProblemsError((*apart, nothing))
    return profile


def _collect(
    path: Path, above: tuple[Path, ...], files: list[_File], where: Place | None = None
) -> None:
    """Append `path` behind what it extends: from left to right, each file once."""
    path = path.resolve()
    if path in above:
        chain = " → ".join(file.name for file in (*above[above.index(path) :], path))
        raise wrong(where, f"profiles extend each other in a circle: {chain}")
    if any(file.path == path for file in files):
        return
    if len(files) + len(above) >= MOST_FILES:
        raise wrong(where, f"more than {MOST_FILES} profiles extend each other")
    document = read_document(_as_typed(path))
    if _is_rule_file(document):
        hint = "give it to `etracee test`, or behind --rules"
        raise wrong(document.place(()), "this is a file of rules, not a profile", hint)
    written, problems = validate_apart(document, WrittenProfile, _find_apart)
    for index, base in enumerate(written.extends):
        place = document.place(("extends", index))
        found = find_file("profiles", base, relative_to=path.parent, where=place)
        _collect(found, (*above, path), files, place)
    files.append(_File(path, document, written, problems))


def _find_apart(path: Path_) -> Path_ | None:
    """Return the key of a profile that can be left out with the node at `path`."""
    match path:
        case (str(key), *_) if key in _APART:
            return path[:1]
        case ("events", _, str(key), *_) if key not in _BOUND_OF_EVENT:
            return path[:3]
    return None


def _is_rule_file(document: Document) -> bool:
    """Say whether the file has rules themselves, where a profile would name files of rules."""
    data = document.data
    rules = data.get("rules") if isinstance(data, dict) else None
    return isinstance(rules, list) and any(isinstance(rule, dict) for rule in rules)


def _as_typed(path: Path) -> Path:
    """Return the path from the working directory on, where it lies below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class _Merged:
    """Merges files, later ones over earlier ones."""

    def __init__(self) -> None:
        self.events: dict[str, WatchedEvent] = {}
        self.off: set[str] = set()
        self.filter: Located | None = None
        self.context: tuple[Located, ...] = tuple(Located(name) for name in DEFAULT_CONTEXT)
        self.definitions: dict[str, Definition] = {}
        self.problems: list[Problem] = []
        self.rules: dict[str, Located] = {}
        self.options: dict[str, Any] = {}
        self.mode: str | None = None
        self.count: Counting | None = None
        self.counting: dict[str, Any] = {}

    def add(self, file: _File) -> None:
        document, written = file.document, file.written
        for name, event in written.events.items():
            self.add_event(document, name, event)
        if written.filter is not None:
            self.filter = Located(written.filter, document, ("filter",))
        if written.context is not None:
            self.context = _located(document, ("context",), written.context)
        own, problems = merge_definitions(definitions_of(document, written.lists, written.macros))
        self.definitions |= own
        self.problems += problems
        for index, rule in enumerate(written.rules):
            self.rules.setdefault(rule, Located(rule, document, ("rules", index)))
        self.options |= written.options.model_dump(exclude_none=True)
        self.mode = written.mode or self.mode
        if written.count is not None:
            self.count = _counting(document, ("count",), written.count)
            self.counting = {"every": written.count.every} if written.count.every else {}

    def add_event(self, document: Document, name: str, event: WrittenEvent | str) -> None:
        if isinstance(event, str):
            self.events.pop(name, None)
            self.off.add(name)
            return
        self.off.discard(name)
        path = ("events", name)
        before = self.events.get(name, WatchedEvent(Located(name, document, path)))
        if event.fields is not None:
            before = replace(before, fields=_located(document, (*path, "fields"), event.fields))
        if event.filter is not None:
            before = replace(before, filter=Located(event.filter, document, (*path, "filter")))
        if event.count is not None:
            before = replace(before, count=_counting(document, (*path, "count"), event.count))
        self.events[name] = replace(before, mode=event.mode or before.mode)

    def profile(self, files: list[_File]) -> Profile:
        own = files[-1].written
        return Profile(
            name=own.name,
            version=own.version,
            description=own.description,
            filters=(self.filter,) if self.filter else (),
            context=self.context,
            events=self.events,
            definitions=tuple(self.definitions.values()),
            rules=tuple(self.rules.values()),
            options=Options(**_known(self.options)),
            files=tuple(str(_as_typed(file.path)) for file in files),
            off=frozenset(self.off),
            mode=self.mode,
            count=self.count,
            **self.counting,
        )


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: options[field.name] for field in fields(Options) if field.name in options}


def _counting(document: Document, path: tuple[str, ...], count: WrittenEventCount) -> Counting:
    name = count.histogram
    return Counting(
        where=Located("count", document, path),
        by=None if count.by is None else _located(document, (*path, "by"), count.by),
        histogram=Located(name, document, (*path, "histogram")) if name else None,
    )


def _located(document: Document, path: tuple[str, ...], texts: list[str]) -> tuple[Located, ...]:
    return tuple(Located(text, document, (*path, i)) for i, text in enumerate(texts))
