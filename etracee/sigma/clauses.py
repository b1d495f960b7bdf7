"""Pieces of expressions, joined with brackets where they are needed and constants folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sigma.exceptions import SigmaError


class NotExpressibleError(SigmaError):
    """Says what in a Sigma rule has no counterpart here."""


@dataclass(frozen=True)
class Unsaid:
    """A piece that has no counterpart here; it matters only where the other pieces leave it to."""

    reason: str


@dataclass(frozen=True)
class Clause:
    """A piece of an expression. `joined_by` is `and` or `or` where it falls apart at that word.

    `equal` is field and quoted value of a plain equality: several of one field make a list.
    """

    text: str
    joined_by: str | None = None
    equal: tuple[str, str] | None = None


Answer = Clause | Unsaid | bool
"""A piece, or what no event can change."""


def compare(field: str, operator: str, constant: str) -> Clause:
    """Return a comparison; the constant is quoted already."""
    return Clause(
        f"{field} {operator} {constant}", equal=(field, constant) if operator == "=" else None
    )


def negate(answer: Answer) -> Answer:
    """Return the negation."""
    if isinstance(answer, bool):
        return not answer
    if isinstance(answer, Unsaid):
        return answer
    return Clause(f"not ({answer.text})" if answer.joined_by else f"not {answer.text}")


def all_of(answers: Iterable[Answer]) -> Answer:
    """Return the conjunction."""
    return _join("and", answers, neutral=True)


def any_of(answers: Iterable[Answer]) -> Answer:
    """Return the disjunction; equalities with one field become a list."""
    return _join("or", _as_lists(list(answers)), neutral=False)


def _join(word: str, answers: Iterable[Answer], *, neutral: bool) -> Answer:
    clauses = dict.fromkeys(answers)
    if (not neutral) in clauses:
        return not neutral
    for unsaid in clauses:
        if isinstance(unsaid, Unsaid):
            return unsaid
    kept = [clause for clause in clauses if isinstance(clause, Clause)]
    if len(kept) < 2:
        return kept[0] if kept else neutral
    pieces = (f"({c.text})" if c.joined_by not in (None, word) else c.text for c in kept)
    return Clause(f" {word} ".join(pieces), joined_by=word)


def _as_lists(answers: Sequence[Answer]) -> Iterable[Answer]:
    """Replace the equalities with one field by a list, where the first of them stands."""
    values: dict[str, dict[str, None]] = {}
    for answer in answers:
        if isinstance(answer, Clause) and answer.equal:
            values.setdefault(answer.equal[0], {})[answer.equal[1]] = None
    for answer in answers:
        if not isinstance(answer, Clause) or not answer.equal:
            yield answer
            continue
        field = answer.equal[0]
        words = values.pop(field, None)
        if words is not None and len(words) > 1:
            yield Clause(f"{field} in ({', '.join(words)})")
        elif words is not None:
            yield answer
