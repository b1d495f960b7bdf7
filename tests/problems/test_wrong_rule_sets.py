"""Rule files that are wrong together: too many of them, in a row, or with names taken twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etracee.plan import Plan, Request, make_plan
from etracee.problems import ProblemsError
from etracee.rules.load import DEEPEST, MOST_FILES, MOST_RULES
from etracee.source_set import load_source_set


def rule(name: str, condition: str = "uid = 0") -> dict[str, Any]:
    return {"id": name, "title": "Rule", "events": ["openat"], "condition": condition}


def write(directory: Path, name: str, *rules: dict[str, Any], **keys: Any) -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps({"rules": rules, **keys}))
    return path


def plan(directory: Path, *files: Path) -> Plan:
    profile = directory / "profile.yaml"
    profile.write_text("name: fine\nevents: {openat: {}}\n")
    source = load_source_set(str(profile), tuple(map(str, files)), "x86_64")
    return make_plan(source.profile, source.rules, Request(), source.catalog)


def problems(directory: Path, *files: Path) -> list[str]:
    """Return what is wrong, without the directory."""
    with pytest.raises(ProblemsError) as caught:
        plan(directory, *files)
    return [str(p).replace(f"{directory}/", "") for p in caught.value.problems]


def test_an_id_over_two_files(tmp_path: Path) -> None:
    first, second = (write(tmp_path, name, rule("same")) for name in ("one", "two"))
    assert problems(tmp_path, first, second) == [
        "two.yaml:1:19: the rule id 'same' is used a second time (the first is at one.yaml:1:19)"
    ]


@pytest.mark.parametrize("kind", [{"lists": {"x": ["a"]}}, {"macros": {"x": "uid = 1"}}])
def test_a_name_over_two_files(tmp_path: Path, kind: dict[str, Any]) -> None:
    """Lists and macros share one name space, whatever file they stand in."""
    first = write(tmp_path, "one", rule("one"), lists={"x": ["b"]})
    second = write(tmp_path, "two", rule("two"), **kind)
    (problem,) = problems(tmp_path, first, second)
    assert "the name 'x' is taken, by one.yaml:" in problem
    assert problem.endswith("(choose another, or write `override: true` beside it)")


def test_a_name_that_overrides(tmp_path: Path) -> None:
    """The last one holds, in the rules of the other file too."""
    first = write(tmp_path, "one", rule("one", "comm in $x"), lists={"x": ["b"]})
    override = {"x": {"values": ["c"], "override": True}}
    second = write(tmp_path, "two", rule("two"), lists=override)
    found = plan(tmp_path, first, second).rules[0].steps[0].conditions["openat"]
    assert getattr(found, "constant", None) == (b"c",)


def test_rules_beyond_the_limit(tmp_path: Path) -> None:
    half = MOST_RULES // 2
    first = write(tmp_path, "one", *(rule(f"a{n}") for n in range(half)))
    second = write(tmp_path, "two", *(rule(f"b{n}") for n in range(half + 1)))
    (problem,) = problems(tmp_path, first, second)
    assert problem.startswith("two.yaml:1:")
    assert problem.endswith(f": more than {MOST_RULES} rules")


def test_files_beyond_the_limit(tmp_path: Path) -> None:
    names = [f"r{n}" for n in range(MOST_FILES)]
    for name in names:
        write(tmp_path, name, rule(name))
    top = write(tmp_path, "top", extends=[f"./{name}.yaml" for name in names])
    (problem,) = problems(tmp_path, top)
    assert problem.startswith("top.yaml:1:")
    assert problem.endswith(f": more than {MOST_FILES} rule files")


def test_files_in_a_row(tmp_path: Path) -> None:
    for number in range(DEEPEST):
        write(tmp_path, f"r{number}", rule(f"r{number}"), extends=[f"./r{number + 1}.yaml"])
    write(tmp_path, f"r{DEEPEST}", rule("last"))
    (problem,) = problems(tmp_path, tmp_path / "r0.yaml")
    assert problem.startswith(f"r{DEEPEST - 1}.yaml:1:")
    assert problem.endswith(f": more than {DEEPEST} rule files extend one another in a row")
    assert len(plan(tmp_path, tmp_path / "r1.yaml").rules) == DEEPEST


def test_files_in_a_circle(tmp_path: Path) -> None:
    """Each is read once, and that is all there is to it."""
    first = write(tmp_path, "one", rule("one"), extends=["./two.yaml"])
    write(tmp_path, "two", rule("two"), extends=["./one.yaml", "./two.yaml"])
    assert {found.id for found in plan(tmp_path, first).rules} == {"one", "two"}
