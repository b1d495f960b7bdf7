"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from etracee.problems import wrong
from etracee.units import parse_duration

Command = TypeVar("Command", bound=Callable[..., Any])
Words = tuple[str, ...]

_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def profile_option(command: Command) -> Command:
    """Add --profile."""
    return click.option(
        "-p", "--profile", required=True, help="Profile: a bundled name or a path."
    )(command)


@dataclass(frozen=True)
class Selection:
    """What the options narrow a profile to: filters as (option, expression), names of events."""

    filters: tuple[tuple[str, str], ...]
    events: tuple[str, ...]
    alerts_only: bool
    allow_actions: bool


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that narrow a profile; the command gets them as `selection`."""

    @functools.wraps(command)
    def with_selection(
        *, events: Words, alerts_only: bool, allow_actions: bool, **others: Any
    ) -> Any:
        filters = filters_from(*(others.pop(name) for name in ("pid", "uid", "gid", "comm")))
        selection = Selection(filters, split(events), alerts_only, allow_actions)
        return command(selection=selection, **others)

    for option in _SELECTING:
        with_selection = option(with_selection)
    return with_selection


_SELECTING = (
    click.option(
        "--event",
        "events",
        multiple=True,
        help="Only these events of the profile, e.g. execve,openat.",
    ),
    click.option("--pid", multiple=True, help="Only these process ids: 10,20,100-199."),
    click.option("--uid", multiple=True, help="Only these user ids: 0,1000-1999."),
    click.option("--gid", multiple=True, help="Only these group ids."),
    click.option("--comm", multiple=True, help="Only threads of these names."),
    click.option(
        "--alerts-only",
        is_flag=True,
        help="Deliver alerts alone; what no rule can need never leaves the kernel.",
    ),
    click.option(
        "--allow-actions",
        is_flag=True,
        help="Let rules end processes, where their `actions` say kill.",
    ),
)


def filters_from(
    pid: tuple[str, ...], uid: tuple[str, ...], gid: tuple[str, ...], comm: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Return the filters as (option, expression); ProblemsError for what is no number or range."""
    filters = []
    for name, values in (("pid", pid), ("uid", uid), ("gid", gid)):
        if values:
            ranges = ", ".join(_range(f"--{name}", word) for word in split(values))
            filters.append((f"--{name}", f"{name} in ({ranges})"))
    if comm:
        names = ", ".join(_quote(word) for word in split(comm))
        filters.append(("--comm", f"comm in ({names})"))
    return tuple(filters)


def split(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of options that take several, separated by commas."""
    return tuple(word for value in values for word in value.split(","))


def duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """Return the seconds that a text like 10s, 500ms or 2m means (a click callback)."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _range(option: str, word: str) -> str:
    match = _RANGE.fullmatch(word)
    if match is None:
        raise wrong(None, f"{option}: {word!r} is neither a number nor a range such as 1000-1999")
    return f"{match[1]}..{match[2]}" if match[2] else match[1]


def _quote(word: str) -> str:
    """Return the word as a quoted text, every byte of it escaped."""
    escaped = "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogateescape"))
    return f'"{escaped}"'
