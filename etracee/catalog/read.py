"""The YAML files of the catalog, as they are written."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data"
REQUESTS = DATA / "io_uring.yaml"


@functools.cache
def read_data(path: Path) -> Any:
    """Return what a file of the catalog holds.

    The values are made of the parser's events themselves: the nodes and constructors that
    yaml.load() has between them take several times as long as the parser.
    """
    return _Builder(_Parser(path.read_bytes()).get_event).document()


class _Builder:
    """Makes values of a parser's events; `read` returns the next one."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read
        self.anchors: dict[str, Any] = {}

    def document(self) -> Any:
        self.read(), self.read()  # the stream and the document begin
        return self.value(self.read())

    def value(self, event: Any) -> Any:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return _plain(event.value) if event.implicit[0] else event.value
        if kind is yaml.AliasEvent:
            return self.anchors[event.anchor]
        found = self.mapping() if kind is yaml.MappingStartEvent else self.sequence()
        if event.anchor is not None:
            self.anchors[event.anchor] = found
        return found

    def mapping(self) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while type(event := self.read()) is not yaml.MappingEndEvent:
            key = self.value(event)
            found[key] = self.value(self.read())
        return found

    def sequence(self) -> list[Any]:
        found: list[Any] = []
        while type(event := self.read()) is not yaml.SequenceEndEvent:
            found.append(self.value(event))
        return found


@functools.cache
def _plain(text: str) -> Any:
    """Return what a scalar without quotes means."""
    tag: str = _SCALARS.resolve(yaml.ScalarNode, text, (True, False))
    return text if tag == _TEXT else _SCALARS.construct_document(yaml.ScalarNode(tag, text))


_TEXT = "tag:yaml.org,2002:str"
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Scalars(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """YAML 1.1 with the 0o… of YAML 1.2, in which manuals write file flags."""

    def __init__(self) -> None:
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


_Scalars.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+$"), "0")
_Scalars.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value, 0))
_SCALARS: Any = _Scalars()
