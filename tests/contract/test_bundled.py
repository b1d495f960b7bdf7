"""Every bundled profile and rule file: they compile, they are described, their tests pass."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostc
import jsonschema
import pytest
import yaml

from etracee.catalog import load_catalog
from etracee.catalog.load import architectures
from etracee.decoding import import_decoder
from etracee.explain.warnings import find_doubts
from etracee.plan import Plan, Request, attach_by, make_plan
from etracee.plan.attach import ATTACH
from etracee.problems import Problem, ProblemsError
from etracee.profile import load_profile
from etracee.profile.written import Located
from etracee.render import render_program
from etracee.resources import bundled
from etracee.rules import Rule, RuleSet, load_rules
from etracee.schema import SCHEMAS, schema_text
from etracee.source_set import SourceSet, load_source_set

Etracee = Callable[..., "subprocess.CompletedProcess[str]"]
PROFILES = sorted(bundled("profiles").glob("*.yaml"))
RULE_FILES = sorted(bundled("rules").glob("*.yaml"))
RULES = load_rules(Located(str(path)) for path in RULE_FILES).rules


class _Loader(yaml.SafeLoader):
    """Takes a plain = for a text, as YAML 1.2 does, and with it editors."""


_Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


def _watches(path: Path) -> bool:
    """Say whether the profile watches anything by itself, or is one to extend."""
    try:
        load_profile(str(path))
    except ProblemsError as error:
        assert "watches no events" in str(error)
        assert any(path.stem in yaml.safe_load(p.read_text()).get("extends", []) for p in PROFILES)
        return False
    return True


each_profile = pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
each_watching_profile = pytest.mark.parametrize(
    "path", [path for path in PROFILES if _watches(path)], ids=lambda path: path.stem
)
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id.text)


def _plan(profile: str, arch: str, *rules: str, tree: bool = False) -> Plan:
    source = load_source_set(profile, rules, arch)
    return make_plan(source.profile, source.rules, Request(tree=tree), source.catalog)


@pytest.mark.parametrize("arch", architectures())
@pytest.mark.parametrize("attach", ATTACH)
@pytest.mark.parametrize("tree", [False, True], ids=["host", "tree"])
@each_watching_profile
def test_profile_compiles(path: Path, arch: str, attach: str, tree: bool, tmp_path: Path) -> None:
    for typed_loads in (True, False):
        plan = _plan(str(path), arch, tree=tree)
        plan = attach_by(plan, attach, typed_loads=typed_loads)
        c = hostc.check_c(tmp_path, plan)
        assert all(f"int {one.function}(" in c for one in (*plan.hooks, *plan.branches))
    (tmp_path / "decoder.py").write_text(render_program(plan).python)
    decoder = import_decoder(tmp_path / "decoder.py")
    assert list(decoder.EVENTS) == [event.name for event in plan.events]


@each_profile
def test_profile_is_described(path: Path) -> None:
    written = yaml.safe_load(path.read_text())
    assert written["name"] == path.stem
    assert written["version"]
    assert written["description"].endswith(".")
    assert path.read_text().startswith("#"), "a comment says whom it is for and what it costs"


@each_watching_profile
def test_profile_has_no_warnings(path: Path) -> None:
    assert [str(warning) for warning in _plan(str(path), "x86_64").warnings] == []


OF_ONE_WAY = {"minimal": ["connect", "execve", "openat"], "counts": ["$syscalls"]}
"""What profiles watch without what does the same, and say so in their comment."""


@each_watching_profile
def test_profile_watches_what_does_the_same(path: Path) -> None:
    source = load_source_set(str(path), (), "x86_64")
    doubts = _siblings_left_out(replace(source, rules=RuleSet()))
    found = sorted(doubt.message.split(" watches ")[1].split()[0] for doubt in doubts)
    assert found == OF_ONE_WAY.get(path.stem, [])


def test_rules_say_why_they_leave_out_what_does_the_same() -> None:
    for doubt in _siblings_left_out(load_source_set("security", (), "x86_64")):
        assert doubt.where is not None
        line = Path(doubt.where.file).read_text().splitlines()[doubt.where.line - 1]
        assert "   # " in line, doubt


def _siblings_left_out(source: SourceSet) -> list[Problem]:
    plan = make_plan(source.profile, source.rules, Request(), source.catalog)
    same = re.compile(r", which do(es)? the same")
    return [doubt for doubt in find_doubts(source, plan) if same.search(doubt.message)]


@pytest.mark.parametrize("arch", architectures())
def test_all_rules_compile_together(arch: str, tmp_path: Path) -> None:
    plan = _plan("minimal", arch, *map(str, RULE_FILES))
    hostc.check_c(tmp_path, plan)
    assert {rule.id for rule in plan.rules} >= {rule.id.text for rule in RULES}


@pytest.mark.parametrize("arch", architectures())
def test_every_event_compiles(arch: str, tmp_path: Path) -> None:
    """With 32-bit calls, of which each number has a function at each edge that is needed."""
    catalog = load_catalog(arch)
    events: dict[str, Any] = {
        name: {"fields": [*event.default, "duration_ns"]} if "duration_ns" in event.fields else {}
        for name, event in catalog.events.items()
    }
    written = {"name": "all", "events": events}
    profile = tmp_path / "all.yaml"
    profile.write_text(yaml.safe_dump({**written, "options": {"compat": "decode"}}))
    plan = _plan(str(profile), arch)
    c = hostc.check_c(tmp_path, plan)
    for event in catalog.events.values():
        edges = ["enter", *["exit"] * ("duration_ns" in event.fields)]
        functions = [f"{edge}_{call.name}" for call in event.abi_calls for edge in edges]
        assert all(f"int {catalog.abi}_{function}(" in c for function in functions)


def test_rules_own_tests_pass(etracee: Etracee) -> None:
    done = etracee("test")
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
    assert "without tests" not in done.stdout


@each_rule
def test_rule_shows_when_it_fires_and_when_not(rule: Rule) -> None:
    assert {test.alerts > 0 for test in rule.tests} == {True, False}


@each_rule
def test_rule_is_described(rule: Rule) -> None:
    assert rule.tags
    assert rule.output.text != rule.title, "a message names the process and what it did"
    assert "{comm}" in rule.output.text


def test_rule_ids_are_unique() -> None:
    ids = [rule.id.text for rule in RULES]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("path", "schema"),
    [(p, "profile") for p in PROFILES] + [(p, "rules") for p in RULE_FILES],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_schema_takes_what_is_bundled(path: Path, schema: str) -> None:
    assert schema in SCHEMAS
    jsonschema.validate(yaml.load(path.read_text(), _Loader), json.loads(schema_text(schema)))


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ("profile", {"name": "x", "evnts": {}}),
        ("profile", {"name": "x", "version": "1.0"}),
        ("profile", {"name": "x", "options": {"attach": "kprobe"}}),
        ("rules", {"rules": [{"id": "x", "title": "X", "events": ["open"]}]}),
        ("rules", {"rules": []}),
    ],
)
def test_schema_refuses_what_is_wrong(schema: str, wrong: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads(schema_text(schema)))


@pytest.mark.parametrize("kind", ["python", "c"])
def test_emitted_text_is_the_same_each_time(kind: str) -> None:
    """A reviewed program can be told again by its digest."""
    first, second = (render_program(_plan("minimal", "x86_64")) for _ in range(2))
    assert first.digest == second.digest
    assert getattr(first, kind) == getattr(second, kind)
    assert first.digest in getattr(first, kind)


_DECODER_NEEDS = {"operator", "struct", "typing", "etracee"}


def test_decoder_runs_no_code_of_a_profile() -> None:
    """It imports what it needs of etracee, and nothing else."""
    tree = ast.parse(render_program(_plan("minimal", "x86_64", *map(str, RULE_FILES))).python)
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert all(str(name).partition(".")[0] in _DECODER_NEEDS for name in imported)
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_events_exist_on_every_architecture_or_are_left_out() -> None:
    """A rule over a family means its members there are."""
    for arch in architectures():
        families = load_catalog(arch).families
        assert {"open", "chmod", "unlink", "execute"} <= set(families)
