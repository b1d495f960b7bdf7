"""YAML with file, line and column for every node, and every scalar as the text that was typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from etracee.inputs import LARGEST, note_file
from etracee.problems import Place, Problem, ProblemsError, wrong

MOST_NODES = 100_000
"""Nodes of a document, each use of an alias counted with all that it stands for."""
DEEPEST = 40
"""Levels of nesting."""

Path_ = tuple[str | int, ...]
"""Keys and indices that lead from the document's root to a node."""


@dataclass(frozen=True)
class Scalar:
    """Where a scalar stands, and how: what an expression's place and hints are computed from."""

    place: Place
    raw: str
    plain: bool
    in_flow: bool
    comment_follows: bool


@dataclass
class Document:
    """What a file says: `data` of dicts, lists, texts and None, and the places of its nodes."""

    file: str
    data: Any = field(default=None, repr=False)
    places: dict[Path_, Place] = field(default_factory=dict, repr=False)
    keys: dict[Path_, Place] = field(default_factory=dict, repr=False)
    scalars: dict[Path_, Scalar] = field(default_factory=dict, repr=False)
    flow_keys: set[Path_] = field(default_factory=set, repr=False)
    """Keys that stand within braces, where a comma ends a value."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong although the data could be read: keys that stand twice."""

    def place(self, path: Path_) -> Place:
        """Return the place of the node at `path`, or of the nearest one around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.file, 1, 1))

    def key_place(self, path: Path_) -> Place:
        """Return the place of the key that leads to the node at `path`."""
        return self.keys.get(path) or self.place(path)

    def offset_place(self, path: Path_) -> Callable[[int], Place]:
        """Return the function that finds the place of a character of the scalar at `path`."""
        scalar = self.scalars.get(path)
        if scalar is None:
            return lambda _: self.place(path)
        text = self._at(path)
        return lambda offset: _place_in(scalar, text, offset)

    def quoting_hint(self, path: Path_) -> str | None:
        """Return the advice for a plain scalar that YAML itself may have cut or split.

        A piece that was split off becomes a key without a value.
        """
        scalar = self.scalars.get(path)
        if scalar is None and path in self.flow_keys and self._at(path) == "None":
            return _SPLIT
        if scalar is None or not scalar.plain:
            return None
        if scalar.comment_follows:
            return _CUT
        if scalar.in_flow:
            return _SPLIT
        return None

    def _at(self, path: Path_) -> str:
        node = self.data
        for step in path:
            node = node[step]
        return str(node)


_CUT = "YAML ends a plain value at ` #`: quote the expression, or write it behind >-"
_SPLIT = "YAML splits at commas within braces: quote the expression, or use >-"


def read_document(path: Path) -> Document:
    """Return what the YAML file says; ProblemsError with all that is wrong with it as YAML."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise wrong(None, f"cannot read {path}: {error.strerror}") from None
    note_file(path, raw)
    if len(raw) > LARGEST:
        raise wrong(Place(str(path), 1, 1), f"the file is larger than {LARGEST} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        place = Place(str(path), line, column)
        raise wrong(place, f"byte 0x{raw[error.start]:02x} is not UTF-8 text") from None
    return read_text(text, str(path))


def read_text(text: str, file: str) -> Document:
    """Return what YAML `text` says; `file` is the name for places."""
    document = Document(file)
    reader = _Reader(text, document)
    try:
        reader.read()
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        place = _place_at(error.position, text, file)
        raise wrong(place, f"character #x{code:04x} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text, file) from None
    return document


def _place_at(index: int, text: str, file: str) -> Place:
    line = text.count("\n", 0, index) + 1
    return Place(file, line, index - text.rfind("\n", 0, index))


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str) -> ProblemsError:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    hint = None
    if error.context in _FLOWS and error.context_mark and error.problem_mark:
        at, hint = _flow_trouble(text, _index(error.context_mark), _index(error.problem_mark))
        place = _place_at(at, text, file)
    context = f" {error.context}" if error.context else ""
    return wrong(place, f"not YAML: {error.problem}{context}", hint)


_FLOWS = ("while parsing a flow mapping", "while parsing a flow sequence")


def _flow_trouble(text: str, opened: int, stopped: int) -> tuple[int, str]:
    """Return where braces or brackets go wrong in which YAML met what it did not expect, and why.

    What should have closed them may stand in a comment at the end of the line before.
    """
    line = text[opened:stopped].rstrip().rpartition("\n")[2]
    words, comment, hidden = line.replace("\t#", " #").partition(" #")
    if comment and {"}", "]"}.intersection(hidden):
        return text.rindex(line, opened, stopped) + len(words) + 1, _CUT
    if text.startswith(("[", "{"), stopped):
        return stopped, f"{text[stopped]} begins a list or mapping: quote the expression, or use >-"
    number = text.count("\n", 0, opened) + 1
    return stopped, f"the {text[opened]} of line {number} is not closed before; quotes may lack"


class _Reader:
    """Builds the data from the parser's events; memory and depth stay bounded for any input."""

    def __init__(self, text: str, document: Document) -> None:
        self.lines = text.splitlines(keepends=True)
        self.text = text
        self.document = document
        self.nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.flows = 0
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def read(self) -> None:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return
        self.document.data = self.node(next(self.events), ())
        next(self.events)
        more = next(self.events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise wrong(self.place(more), "a second document begins here", "use one file for each")

    def node(self, event: yaml.Event, path: Path_) -> Any:
        self.count(event, 1)
        self.document.places[path] = self.place(event)
        if len(path) > DEEPEST:
            raise wrong(self.place(event), f"nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        before = self.nodes
        value = _BUILDERS[type(event)](self, event, path)
        if anchor := getattr(event, "anchor", None):
            self.anchors[anchor] = (value, self.nodes - before + 1)
        return value

    def scalar(self, event: yaml.ScalarEvent, path: Path_) -> str | None:
        plain = event.style is None
        if plain and event.value in ("", "~", "null"):
            return None
        raw = self.text[_index(event.start_mark) : _index(event.end_mark)]
        rest = self.text[_index(event.end_mark) :].partition("\n")[0]
        self.document.scalars[path] = Scalar(
            self.place(event),
            raw,
            plain,
            in_flow=self.flows > 0,
            comment_follows=rest.lstrip().startswith("#"),
        )
        return str(event.value)

    def sequence(self, event: yaml.SequenceStartEvent, path: Path_) -> list[Any]:
        self.flows += bool(event.flow_style)
        items: list[Any] = []
        while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(item, (*path, len(items))))
        self.flows -= bool(event.flow_style)
        return items

    def mapping(self, event: yaml.MappingStartEvent, path: Path_) -> dict[str, Any]:
        self.flows += bool(event.flow_style)
        found: dict[str, Any] = {}
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            name = self.key(key)
            inner = (*path, name)
            if name in found:
                first = self.document.keys[inner]
                message = f"{name!r} stands here a second time"
                hint = f"first at line {first.line}"
                self.document.problems.append(Problem(self.place(key), message, hint))
            self.document.keys.setdefault(inner, self.place(key))
            if self.flows:
                self.document.flow_keys.add(inner)
            found[name] = self.node(next(self.events), inner)
        self.flows -= bool(event.flow_style)
        return found

    def key(self, event: yaml.Event) -> str:
        self.count(event, 1)
        if not isinstance(event, yaml.ScalarEvent):
            raise wrong(self.place(event), "a key must be a plain word")
        return str(event.value)

    def alias(self, event: yaml.AliasEvent) -> Any:
        if event.anchor not in self.anchors:
            raise wrong(self.place(event), f"*{event.anchor} names no &{event.anchor} before it")
        value, size = self.anchors[event.anchor]
        self.count(event, size)
        return value

    def count(self, event: yaml.Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise wrong(
                self.place(event), f"more than {MOST_NODES} values, aliases counted in full"
            )

    def place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None
        return Place(self.document.file, mark.line + 1, mark.column + 1)


def _index(mark: Any) -> int:
    return int(mark.index)


_BUILDERS: dict[type, Callable[[_Reader, Any, Path_], Any]] = {
    yaml.ScalarEvent: _Reader.scalar,
    yaml.SequenceStartEvent: _Reader.sequence,
    yaml.MappingStartEvent: _Reader.mapping,
}


def _place_in(scalar: Scalar, text: str, offset: int) -> Place:
    """Walk through the scalar as it was typed until `offset` characters of its value are passed."""
    at = _raw_offset(scalar.raw, text, offset)
    before = scalar.raw[:at]
    line = scalar.place.line + before.count("\n")
    if "\n" not in before:
        return Place(scalar.place.file, line, scalar.place.column + at)
    return Place(scalar.place.file, line, at - before.rfind("\n"))


def _raw_offset(raw: str, text: str, offset: int) -> int:
    """Return the index in `raw` of the character that became `text[offset]`.

    Quotes, indicators, indents and folded line ends are passed over: what does not stand in the
    text is skipped until its next character is met.
    """
    at = 0
    for char in text[:offset]:
        at = _next_index(raw, at, char) + 1
    if offset < len(text):
        return _next_index(raw, at, text[offset])
    return at


def _next_index(raw: str, at: int, char: str) -> int:
    wanted = " \n" if char in " \n" else char
    for index in range(at, len(raw)):
        if raw[index] in wanted:
            return index
    return at
