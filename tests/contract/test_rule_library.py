"""The bundled rules as a library: what they cover, how they are described, what they cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from etracee.catalog import load_catalog
from etracee.expr.evaluate import compile_tree
from etracee.plan import Plan, Request, make_plan
from etracee.resources import bundled
from etracee.source_set import load_source_set

TACTICS = {
    "execution",
    "persistence",
    "privilege_escalation",
    "defense_evasion",
    "credential_access",
    "discovery",
    "lateral_movement",
    "collection",
    "command_and_control",
    "impact",
}
FILES = sorted(bundled("rules").glob("*.yaml"))
BY_TACTIC = {tactic.replace("_", "-") for tactic in TACTICS} | {"container-escape"}
SOURCES = (
    "https://attack.mitre.org/",
    "https://man7.org/linux/man-pages/",
    "https://www.kernel.org/doc/",
)
COMMANDS_OF_NETWORKS = re.compile(r"\b(ssh|nc|ncat|curl|wget) ")


class _Loader(yaml.SafeLoader):
    """Every scalar is a text, as etracee reads it."""


_Loader.yaml_implicit_resolvers = {}

Written = dict[str, Any]


def _written(path: Path) -> list[Written]:
    return list(yaml.load(path.read_text(), _Loader).get("rules") or ())


RULES: list[Written] = [rule for path in FILES for rule in _written(path)]

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
each_played_rule = pytest.mark.parametrize(
    "rule", [rule for rule in RULES if "trigger" in rule], ids=lambda rule: rule["id"]
)


def test_every_tactic_has_a_file_with_rules() -> None:
    filled = {path.stem for path in FILES if len(_written(path)) >= 3}
    assert filled >= BY_TACTIC


def test_library_is_as_large_as_is_said() -> None:
    """At least so many rules, and so many of them that can be played for real."""
    assert len(RULES) >= 60
    assert len([rule for rule in RULES if "trigger" in rule]) >= 25


@each_rule
def test_rule_has_tactic_and_technique(rule: Written) -> None:
    tags = rule["tags"]
    assert any(re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag) for tag in tags)
    named = {tag.removeprefix("attack.") for tag in tags if not re.match(r"attack\.t\d", tag)}
    assert named
    assert named <= TACTICS


@each_rule
def test_rule_says_where_to_read_on(rule: Written) -> None:
    assert rule["references"]
    assert all(reference.startswith(SOURCES) for reference in rule["references"])


@each_rule
def test_rule_says_when_it_is_wrong(rule: Written) -> None:
    assert rule["falsepositives"]
    assert all(re.fullmatch(r"[A-Z].*\.", text, re.DOTALL) for text in rule["falsepositives"])


@each_rule
def test_technique_is_that_of_the_reference(rule: Written) -> None:
    """A reference to a technique names one that the rule is tagged with, or its parent."""
    for reference in rule["references"]:
        found = re.search(r"/techniques/(T\d{4})(?:/(\d{3}))?/$", reference)
        if found:
            told = ".".join(part for part in found.groups() if part).lower()
            assert any(tag.startswith(f"attack.{told}") for tag in rule["tags"]), reference


@each_played_rule
def test_play_has_both_sides(rule: Written) -> None:
    assert rule["near_miss"] != rule["trigger"]


@each_played_rule
def test_play_stays_on_this_host(rule: Written) -> None:
    """Addresses are those of loopback; tools of networks are copies of true, under that name."""
    for command in (rule["trigger"], rule["near_miss"]):
        addresses = re.findall(r"\b\d+\.\d+\.\d+\.[\d{]", command)
        assert all(address.startswith("127.") for address in addresses), command
        for tool in COMMANDS_OF_NETWORKS.finditer(command):
            before = command[: tool.start()]
            assert before.endswith(("./", "true ")) or "127.0.0.1" in command, command


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Return the plan of the profile that has all rules, when alerts alone are wanted."""
    source = load_source_set("security", (), "x86_64")
    return make_plan(source.profile, source.rules, Request(alerts_only=True), source.catalog)


def test_security_profile_has_all_rules(plan: Plan) -> None:
    assert {rule.id for rule in plan.rules} == {rule["id"] for rule in RULES}


ORDINARY = {
    "filename": b"/usr/lib/x86_64-linux-gnu/libc.so.6",
    "comm": b"cat",
    "flags": 0o2000000,
    "ret": 3,
}
"""An open for reading as every program makes it."""


@pytest.mark.parametrize("name", load_catalog("x86_64").families["open"])
def test_ordinary_opens_stay_in_the_kernel(plan: Plan, name: str) -> None:
    """Opens are what hosts do most: a rule that cannot sort them out there costs all of them."""
    event = next(event for event in plan.events if event.name == name)
    assert all(match.bit is not None for match in event.matches)
    values = {**ORDINARY, **({"filename": b"/srv/new", "mode": 0o644} if name == "creat" else {})}
    wanted = [plan.rules[m.rule].id for m in event.matches for bit, tree in event.bits
              if bit == m.bit and compile_tree(tree)(values, ())]  # fmt: skip
    assert wanted == []
