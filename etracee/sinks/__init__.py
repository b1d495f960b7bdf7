"""Where events, alerts and losses go: one module for each kind, found by itself.

A module of this folder that defines `SINK` brings a word for --sink, which is the module's name.
Only the modules of the kinds in use are imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping

from etracee.problems import ExitCode, Problem, ProblemsError, did_you_mean, wrong
from etracee.sinks.base import Sink, SinkKind
from etracee.sinks.queue import QueuedSink

_WHAT = {"alerts": False, "all": True}
"""What may stand before the @, and whether it includes events."""


def all_sinks() -> Mapping[str, SinkKind]:
    """Return the kinds of sinks by name."""
    names = (info.name for info in pkgutil.iter_modules(__path__))
    found = {name: _find(name) for name in names}
    return {name: kind for name, kind in found.items() if kind}


def open_sinks(texts: Iterable[str]) -> list[Sink]:
    """Open what --sink names; ProblemsError with all that is wrong."""
    sinks: list[Sink] = []
    problems: list[Problem] = []
    codes = []
    for text in texts:
        try:
            sinks.append(_open(text))
        except ProblemsError as error:
            problems += error.problems
            codes.append(error.code)
    if problems:
        raise ProblemsError(problems, min(codes, default=ExitCode.WRONG_INPUT))
    return sinks


def _open(text: str) -> Sink:
    head, _, target = text.partition(":")
    what, at, word = head.rpartition("@")
    if at and what not in _WHAT:
        raise _unknown(text, what, _WHAT)
    kind = _find(word) if word.isidentifier() else None
    if kind is None:
        raise _unknown(text, word, all_sinks())
    if not target and not kind.is_optional:
        raise wrong(None, f"--sink {text}: {word} needs a target", f"write {kind.usage}")
    takes_events = _WHAT.get(what, kind.takes_events)
    outlet = kind.open(target)
    return QueuedSink(f"{word}:{outlet.address}" if target else word, outlet, takes_events)


def _unknown(text: str, word: str, choices: Iterable[str]) -> ProblemsError:
    hint = did_you_mean(word, choices) or f"there are {', '.join(choices)}"
    return wrong(None, f"--sink {text}: unknown word {word!r}", hint)


def _find(name: str) -> SinkKind | None:
    """Return the kind of that name; None where there is no such module, or it is no kind."""
    known = {info.name for info in pkgutil.iter_modules(__path__)}
    if name not in known:
        return None
    return getattr(importlib.import_module(f"{__name__}.{name}"), "SINK", None)


__all__ = ["Sink", "all_sinks", "open_sinks"]
