"""One Sigma rule becomes one rule of ours for each kind of event that it looks at."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sigma.rule import SigmaRule

from etracee.catalog import Catalog, Field
from etracee.sigma.backend import EtraceeBackend
from etracee.sigma.clauses import Answer, Clause, NotExpressibleError, Unsaid, all_of, any_of
from etracee.sigma.sources import LogSource, sources_of

LONGEST_ID = 64
"""Characters of a rule's id."""

Rule = dict[str, Any]
"""A rule as it stands in YAML."""


def convert_rule(rule: SigmaRule, catalog: Catalog, *, ignore_case: bool) -> list[Rule]:
    """Return the rules of ours that together say what `rule` says.

    NotExpressibleError, or another SigmaError, where they would not say the same: part of a rule is
    never returned.
    """
    found: dict[Clause | None, list[LogSource]] = {}
    for source in sources_of(rule, catalog):
        answer = _condition(rule, source, catalog, ignore_case)
        if answer is False:
            continue
        if not source.events:
            raise NotExpressibleError(f"it may hold for {source.name}")
        if isinstance(answer, Unsaid):
            raise NotExpressibleError(answer.reason)
        found.setdefault(answer if isinstance(answer, Clause) else None, []).append(source)
    if not found:
        raise NotExpressibleError("a condition that no single event can fulfil")
    return [
        _rule(rule, condition or _any_of_these(sources), sources, _suffix(index, len(found)))
        for index, (condition, sources) in enumerate(found.items())
    ]


def _any_of_these(sources: list[LogSource]) -> Clause:
    """Return the condition that every event of the sources fulfils."""
    names = [name for source in sources for name in source.events]
    return Clause(f"type in ({', '.join(names)})")


def _condition(rule: SigmaRule, source: LogSource, catalog: Catalog, ignore_case: bool) -> Answer:
    """Return the rule's condition for entries of one log source."""
    fields = _fields(source, catalog)
    kinds = {name: field.kind for event in fields.values() for name, field in event.items()}
    backend = EtraceeBackend(source, kinds, ignore_case=ignore_case)
    mapped = copy.deepcopy(rule)  # the pipeline renames its fields in place
    mapped.fields = []
    said = any_of(backend.convert_rule(mapped))
    guard = Clause(source.guard, joined_by="and") if source.guard else True
    return all_of([_having(fields, _read_by(source, backend.used)), guard, said])


def _fields(source: LogSource, catalog: Catalog) -> dict[str, Mapping[str, Field]]:
    """Return the fields of each event of the source."""
    names: list[str] = []
    for name in source.events:
        names += catalog.families[name[1:]] if name.startswith("$") else [name]
    return {name: {**catalog.context, **catalog.events[name].fields} for name in names}


def _read_by(source: LogSource, used: Iterable[str]) -> set[str]:
    return {*used, *re.findall(r"[a-z_]+", source.guard or "")}


def _having(events: Mapping[str, Mapping[str, Field]], used: set[str]) -> Answer:
    """Return the test that leaves out events of a family that lack a field which is read.

    Not all lack it: then nothing could be said at all.
    """
    known = {name for fields in events.values() for name in fields}
    lacking = [name for name, fields in events.items() if (used & known) - fields.keys()]
    if not lacking:
        return True
    if len(lacking) == 1:
        return Clause(f"type != {lacking[0]}")
    return Clause(f"not type in ({', '.join(lacking)})")


def _rule(rule: SigmaRule, condition: Clause, sources: list[LogSource], suffix: str) -> Rule:
    """Return the rule as it will stand in YAML; keys without a value are left out."""
    about = f"Sigma rule {rule.id}" if rule.id else None
    written = {
        "id": _id(rule, condition, suffix),
        "title": rule.title,
        "description": rule.description,
        "author": rule.author,
        "references": [*([about] if about else []), *rule.references],
        "falsepositives": rule.falsepositives,
        "level": rule.level.name.lower() if rule.level else None,
        "tags": [str(tag) for tag in rule.tags],
        "events": list(dict.fromkeys(name for source in sources for name in source.events)),
        "condition": condition.text,
        "output": f"{_escaped(rule.title)}: {{comm}} (pid {{pid}}, uid {{uid}}) {sources[0].did}",
    }
    return {key: value for key, value in written.items() if value}


def _suffix(index: int, count: int) -> str:
    return f"-{index + 1}" if count > 1 else ""


def _escaped(title: str) -> str:
    return title.replace("{", "{{").replace("}", "}}")


def _id(rule: SigmaRule, condition: Clause, suffix: str) -> str:
    """Return an id of the title, for people, and of Sigma's id; of the condition if there is none.

    It is the same whenever the rule is imported.
    """
    key = str(rule.id) if rule.id else hashlib.sha256(condition.text.encode()).hexdigest()
    end = f"-{re.sub(r'[^0-9A-Za-z]', '', key)[:8].lower()}{suffix}"
    slug = re.sub(r"[^a-z0-9]+", "-", rule.title.lower()).strip("-")
    return f"{slug[: LONGEST_ID - len(end)].rstrip('-') or 'sigma'}{end}"
