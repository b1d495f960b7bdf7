"""Read files of Sigma rules, and write what could be imported as one rule file."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as default
from pathlib import Path
from typing import Any

import re2
import yaml
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RegexEngine, RegexPattern
from sigma.rule import SigmaRule, SigmaRuleBase

from etracee.catalog import Catalog
from etracee.inputs import LARGEST
from etracee.plan.resolve import resolve_rules
from etracee.problems import ProblemsError, wrong
from etracee.profile.written import Located
from etracee.rules import load_rules
from etracee.sigma.clauses import NotExpressibleError
from etracee.sigma.convert import Rule, convert_rule

HEADER = """\
# Imported from Sigma rules by `etracee rules import-sigma`. The authors and Sigma's ids stand with
# each rule. The licence of the rules applies to this file too: for those of SigmaHQ the Detection
# Rule License 1.1, which asks to keep the authors' names.
# {case}
"""
_CASE = {
    False: "Texts are compared with their case, as Linux does; Sigma would ignore it.",
    True: "The case of texts is ignored, as Sigma asks for; this cannot be decided in the kernel.",
}

# pySigma takes much of a rule's form for granted, and fails in these ways where it is not so.
_FAILURES = (
    SigmaError,
    yaml.YAMLError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RecursionError,
    NotImplementedError,
)


class _QuietRegexes(RegexEngine):
    """Compiles regular expressions as pySigma does, without RE2's own words on stderr."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        options = re2.Options()
        options.log_errors = False
        letters = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
        named = "".join(letter for flag, letter in letters.items() if flags & flag)
        compiled: RegexPattern = re2.compile(f"(?{named}){pattern}" if named else pattern, options)
        return compiled

    @property
    def error(self) -> type[Exception]:
        failure: type[Exception] = re2.error
        return failure


@dataclass(frozen=True)
class Refusal:
    """A rule that was not imported, or a whole file where `title` is None; `reason` says why."""

    file: Path
    title: str | None
    reason: str


@dataclass
class Import:
    """What became of some files. `imported` counts Sigma's rules; one may become several here."""

    files: int = 0
    imported: int = 0
    rules: list[Rule] = default(default_factory=list)
    refusals: list[Refusal] = default(default_factory=list)

    def reasons(self) -> list[tuple[str, int]]:
        """Return the reasons for refusals, each with its number, the most frequent first."""
        return Counter(refusal.reason for refusal in self.refusals).most_common()


def import_files(paths: Iterable[Path], catalog: Catalog, *, ignore_case: bool) -> Import:
    """Convert the Sigma rules of all files, and of all files below directories.

    Each is loaded and compiled as a user would, before it counts as imported. ProblemsError for a
    path that is not there.
    """
    result, seen = Import(), set[str]()
    for path in _files(paths):
        result.files += 1
        for rule in _read(path, result):
            try:
                rules = convert_rule(rule, catalog, ignore_case=ignore_case)
                _check(rules, seen, catalog)
            except _FAILURES as error:
                result.refusals.append(Refusal(path, rule.title, _reason(error)))
                continue
            seen |= {written["id"] for written in rules}
            result.imported += 1
            result.rules += rules
    return result


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            path.stat()
            below = (file for file in path.rglob("*") if file.suffix in (".yml", ".yaml"))
            found = sorted(filter(Path.is_file, below)) if path.is_dir() else [path]
        except OSError as error:
            raise wrong(None, f"cannot read {path}: {error.strerror}") from None
        yield from found


def _read(path: Path, result: Import) -> Iterator[SigmaRule]:
    """Return the rules of a file; others than plain rules are noted."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise NotExpressibleError(f"the file is larger than {LARGEST} bytes")
        policy = SigmaPolicy(regex_engine=_QuietRegexes())
        rules = SigmaCollection.from_yaml(raw.decode(), collect_errors=True, policy=policy)
    except (OSError, *_FAILURES) as error:
        result.refusals.append(Refusal(path, None, _reason(error)))
        return
    errors = [Refusal(path, None, _reason(error)) for error in rules.errors]
    for rule in rules:
        own = [Refusal(path, rule.title, _reason(error)) for error in rule.errors]
        errors = [error for error in errors if error.reason not in {o.reason for o in own}]
        if own or not isinstance(rule, SigmaRule):
            result.refusals.append(
                own[0] if own else Refusal(path, rule.title, "a correlation of rules")
            )
        elif _is_only_a_part(rule):
            result.refusals.append(Refusal(path, rule.title, "only a part of a correlation"))
        else:
            yield rule
    result.refusals += errors


def _is_only_a_part(rule: SigmaRuleBase) -> bool:
    return not rule._output  # pySigma has no public word for it


def _check(rules: list[Rule], seen: set[str], catalog: Catalog) -> None:
    """Load and compile rules as a user would; NotExpressibleError says what is wrong."""
    twice = {written["id"] for written in rules} & seen
    if twice:
        raise NotExpressibleError("the same rule was imported before")
    with tempfile.TemporaryDirectory(prefix="etracee-") as directory:
        file = Path(directory) / "rules.yaml"
        file.write_text(dump(rules), "utf-8")
        try:
            loaded = load_rules([Located(str(file))])
            resolve_rules(loaded, catalog)
        except ProblemsError as error:
            first = error.problems[0]
            hint = f" ({first.hint})" if first.hint else ""
            raise NotExpressibleError(f"{first.message}{hint}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, SigmaError | OSError) and error.args:
        return str(error.args[-1] if isinstance(error, OSError) else error.args[0])
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError):
        return f"not YAML: {error.problem}"
    return f"not a Sigma rule: {error}"


class _Dumper(yaml.SafeDumper):
    """Folds long texts, so that a condition can be read; never writes an alias."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > 80 and text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(rules: list[Rule]) -> str:
    """Return the rules as the YAML of a rule file."""
    return yaml.dump(
        {"rules": rules}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def rule_file(result: Import, *, ignore_case: bool) -> str:
    """Return the whole rule file; ProblemsError where etracee would not read so large a one."""
    text = HEADER.format(case=_CASE[ignore_case]) + dump(result.rules)
    if len(text.encode("utf-8", "surrogateescape")) > LARGEST:
        limit = f"a rule file has at most {LARGEST} bytes"
        raise wrong(None, f"{limit}: import fewer Sigma rules into each")
    return text
