"""Problems with what a user wrote or a host offers, and the one exception that carries them."""

from __future__ import annotations

import contextlib
import difflib
import enum
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN_AT_MOST = 50
LONGEST_MESSAGE = 500
"""Characters of a message, which may repeat what somebody wrote."""


class ExitCode(enum.IntEnum):
    """What the process ends with; scripts tell the cases apart by it."""

    OK = 0
    INTERNAL = 1
    WRONG_INPUT = 2
    HOST = 3
    LOSS = 4
    ALERT = 5
    CANNOT_EXECUTE = 126
    NOT_FOUND = 127


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file: line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (None when it has no place in a file), what, and the fix."""

    where: Place | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        message = self.message
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[:LONGEST_MESSAGE]}…"
        return f"{place}{printable(message)}{printable(hint)}"


class CompilerFailedError(Exception):
    """The compiling process has said why, and ended with `code`."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the compiler ended with {code}")


class ProblemsError(Exception):
    """Carries every problem found; `code` is the exit code that they call for."""

    def __init__(self, problems: Iterable[Problem], code: ExitCode = ExitCode.WRONG_INPUT) -> None:
        self.problems = tuple(problems)
        self.code = code
        super().__init__(f"{len(self.problems)} problem(s)")

    def __str__(self) -> str:
        """All problems, one a line, at most SHOWN_AT_MOST of them and then their number."""
        lines = [str(problem) for problem in self.problems[:SHOWN_AT_MOST]]
        rest = len(self.problems) - SHOWN_AT_MOST
        if rest > 0:
            lines.append(f"and {rest} more")
        return "\n".join(lines)


def wrong(where: Place | None, message: str, hint: str | None = None) -> ProblemsError:
    """Return the exception for a single problem with the user's input."""
    return ProblemsError([Problem(where, message, hint)])


def host_lacks(message: str, hint: str) -> ProblemsError:
    """Return the exception for something that this host cannot do; `hint` says how to get it."""
    return ProblemsError([Problem(None, message, hint)], ExitCode.HOST)


def did_you_mean(word: str, choices: Iterable[str]) -> str | None:
    """Return the hint that names the valid word nearest to `word`, or None when none is near.

    A `$` before a name brings it no nearer to others that have one; of `open` and `$open`, the one
    is meant that is written like `word`.
    """
    alike_last = sorted(choices, key=lambda choice: choice.startswith("$") == word.startswith("$"))
    bare = {choice.removeprefix("$"): choice for choice in alike_last}
    near = difflib.get_close_matches(word.removeprefix("$")[:100], bare, n=1, cutoff=_NEAR)
    return f"did you mean {bare[near[0]]!r}?" if near else None


_NEAR = 0.65
"""Of the letters of two words, how many they must have in common, in the same order."""


def name_some(names: Sequence[str], most: int = 6) -> str:
    """Return the names for a message, which would be too long with all of very many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def tell(text: str) -> None:
    """Print to stderr, control characters escaped; what nobody can read must not stop us."""
    with contextlib.suppress(OSError):
        print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return `text` with every character escaped that could steer a terminal or break a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
