"""Sigma rules of every form: what each becomes, or why it is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from etracee.catalog import load_catalog
from etracee.problems import ProblemsError
from etracee.source import LARGEST

pytest.importorskip("sigma", reason="pySigma needs Python 3.11")

from etracee.sigma.files import Import, import_files, rule_file

SAMPLES = sorted((Path(__file__).parents[1] / "sigma").glob("*.yml"))
CATALOG = load_catalog("x86_64")

SIMPLE = """
title: {title}
id: 6a3c7f5e-0000-4000-8000-000000000001
logsource: {{category: process_creation, product: linux}}
detection:
  selection: {{Image: /bin/sh}}
  condition: selection
"""


def imported(*paths: Path) -> Import:
    return import_files(paths, CATALOG, ignore_case=False)


def reasons(result: Import) -> list[str]:
    return [refusal.reason for refusal in result.refusals]


def written(tmp_path: Path, text: str | bytes, name: str = "rule.yml") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_sample(sample: Path) -> None:
    """The comments at the top of the file say what is expected."""
    head = dict(re.findall(r"^# ([a-z 2]+): (.*)$", sample.read_text(), re.MULTILINE))
    result = imported(sample)
    if "refused" in head:
        assert result.rules == []
        assert len(result.refusals) == 1
        assert result.refusals[0].reason.startswith(head["refused"])
        return
    assert reasons(result) == []
    found = [(" ".join(rule["events"]), rule["condition"]) for rule in result.rules]
    expected = [
        (head[f"events{n}"], head[f"condition{n}"]) for n in ("", " 2") if f"events{n}" in head
    ]
    assert found == expected


def test_a_rule_file_fits_every_architecture() -> None:
    here = import_files(SAMPLES, CATALOG, ignore_case=False)
    there = import_files(SAMPLES, load_catalog("aarch64"), ignore_case=False)
    assert here == there
    assert len(here.rules) > 20


def test_everything_said_of_a_rule_is_kept(tmp_path: Path) -> None:
    about: dict[str, Any] = {
        "title": 'A "{title}": # with - signs',
        "description": "First line.\n\n  - second: 'line' \\ \u2028 \u00e9\n",
        "author": "Somebody, & 'another'",
        "references": ["https://example.org/?a=b#c"],
        "falsepositives": ["none: known", "no"],
        "level": "informational",
        "tags": ["attack.t1059.004", "cve.2021-3156"],
    }
    detection = {"selection": {"CommandLine|contains": ["  x  y " * 30]}, "condition": "selection"}
    source = {"category": "process_creation", "product": "linux"}
    name = {"id": "6a3c7f5e-0000-4000-8000-000000000001"}
    rule = {**about, **name, "logsource": source, "detection": detection}
    result = imported(written(tmp_path, yaml.safe_dump(rule)))
    assert reasons(result) == []
    read = yaml.safe_load(rule_file(result, ignore_case=False))["rules"][0]
    assert read.pop("references") == [f"Sigma rule {name['id']}", *about.pop("references")]
    assert read.pop("output").startswith('A "{{title}}": # with - signs: ')
    assert read.pop("id") == "a-title-with-signs-6a3c7f5e"
    assert read.pop("events") == ["$execute"]
    assert read.pop("condition") == f"ret = 0 and cmdline contains '{'  x  y ' * 30}'"
    assert read == about


def test_ids_fit_and_stay(tmp_path: Path) -> None:
    long = written(tmp_path, SIMPLE.format(title="x " * 120), "long.yml")
    odd = written(tmp_path, SIMPLE.format(title="\u65e5\u672c"), "odd.yml")
    nameless = SIMPLE.format(title="T").replace("id: 6a3c7f5e-0000-4000-8000-000000000001\n", "")
    bare = written(tmp_path, nameless, "bare.yml")
    ids = [rule["id"] for rule in imported(bare, long, odd).rules]
    assert ids == [rule["id"] for rule in imported(bare, long, odd).rules]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) for name in ids)
    assert len(set(ids)) == 3


def test_the_same_rule_twice_is_imported_once(tmp_path: Path) -> None:
    first = written(tmp_path, SIMPLE.format(title="T"), "1.yml")
    second = written(tmp_path, SIMPLE.format(title="T"), "2.yml")
    result = imported(first, second)
    assert len(result.rules) == 1
    assert reasons(result) == ["the same rule was imported before"]
    assert result.refusals[0].file == second


def test_directories_are_searched(tmp_path: Path) -> None:
    (tmp_path / "below" / "deeper").mkdir(parents=True)
    written(tmp_path / "below", SIMPLE.format(title="T"), "a.yaml")
    written(tmp_path / "below" / "deeper", "not: sigma", "b.yml")
    written(tmp_path / "below", "ignored", "notes.txt")
    result = imported(tmp_path)
    assert (result.files, result.imported, len(result.refusals)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"title: \xff", "not a Sigma rule: 'utf-8' codec"),
        ("title: [", "not YAML: "),
        ("- a\n- b\n", "not a Sigma rule: "),
        ("just words", "not a Sigma rule: "),
        ("title: T", "Sigma rule must have a log source"),
        (SIMPLE.format(title="{a: b}"), "Sigma rule title must be a string"),
        (SIMPLE.format(title="x" * 257), "Sigma rule title length"),
        (SIMPLE.format(title="T").replace("{Image: /bin/sh}", "[]"), ""),
        (SIMPLE.format(title="T").replace("condition: selection", "condition: nothing"), ""),
        (SIMPLE.format(title="T").replace("condition: selection", "condition: [1, 2]"), ""),
        (SIMPLE.format(title="T").replace("/bin/sh", "{a: {b: c}}"), ""),
        (SIMPLE.format(title="T").replace("/bin/sh", "[" * 2000 + "]" * 2000), ""),
        (SIMPLE.format(title="T").replace("/bin/sh", "x" * 5000), "path: "),
        (SIMPLE.format(title="T").replace("/bin/sh", f"[{'a, ' * 9000}a]"), None),
        (SIMPLE.format(title="T").replace("condition: ", "condition: " + "not " * 900), "nested"),
        ("a: &a {b: *a}\n" + SIMPLE.format(title="T"), "Recursive YAML structure"),
        (
            "a: &a [1, 2]\n"
            + "".join(
                f"{b}: &{b} [{f'*{a}, ' * 9}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
            )
            + SIMPLE.format(title="T"),
            "YAML aliases expand to too many nodes",
        ),
        ("date: 2020-99-99\n" + SIMPLE.format(title="T"), "not a Sigma rule: month"),
        ("x" * (LARGEST + 1), "the file is larger than"),
    ],
    ids=range(19),
)
def test_wrong_files_are_refused(tmp_path: Path, text: str | bytes, reason: str | None) -> None:
    result = imported(written(tmp_path, text))
    if reason is None:  # the same value again and again says nothing new
        assert reasons(result) == []
        return
    assert result.rules == []
    assert len(result.refusals) >= 1
    assert result.refusals[0].reason.startswith(reason)


def test_rules_of_a_correlation_are_refused(tmp_path: Path) -> None:
    correlation = """
---
title: Many
id: 6a3c7f5e-0000-4000-8000-000000000002
correlation:
  type: event_count
  rules: [6a3c7f5e-0000-4000-8000-000000000001]
  group-by: [User]
  timespan: 10s
  condition: {gte: 10}
"""
    result = imported(written(tmp_path, SIMPLE.format(title="One") + correlation))
    assert result.rules == []
    told = {refusal.title: refusal.reason for refusal in result.refusals}
    assert told == {"One": "only a part of a correlation", "Many": "a correlation of rules"}


def test_one_wrong_rule_of_a_file_leaves_the_others(tmp_path: Path) -> None:
    other = (
        SIMPLE.format(title="Other").replace("0001", "0003").replace("Image", "ParentCommandLine")
    )
    result = imported(written(tmp_path, SIMPLE.format(title="One") + "---" + other))
    assert [rule["title"] for rule in result.rules] == ["One"]
    assert reasons(result) == ["no counterpart of ParentCommandLine"]


@pytest.mark.parametrize("name", ["nowhere.yml", "x" * 5000])
def test_a_missing_file_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProblemsError, match="cannot read"):
        imported(tmp_path / name)


def command(*arguments: object, without_pysigma: bool = False) -> subprocess.CompletedProcess[str]:
    hide = "sys.modules['sigma'] = None" if without_pysigma else ""
    code = f"import sys; {hide}\nfrom etracee.cli import main\nmain(sys.argv[1:])"
    words = [sys.executable, "-c", code, "rules", "import-sigma", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_command_writes_rules_and_tells_the_rest(tmp_path: Path) -> None:
    sigma = written(tmp_path, SIMPLE.format(title="Fine"), "a.yml")
    written(
        tmp_path, SIMPLE.format(title="Bad\\e[2J").replace("Image", "ParentCommandLine"), "b.yml"
    )
    output = tmp_path / "rules.yaml"
    done = command(tmp_path, "-o", output)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"{tmp_path}/b.yml: Bad\\e[2J: not imported: no counterpart of ParentCommandLine",
        "2 files, 1 rules imported, 1 not",
        "     1  no counterpart of ParentCommandLine",
    ]
    assert yaml.safe_load(output.read_text())["rules"][0]["title"] == "Fine"
    assert command(sigma).stdout == output.read_text()


def test_command_tells_of_wrong_regular_expressions_itself() -> None:
    """RE2 would add lines of its own."""
    sample = next(path for path in SAMPLES if path.stem == "process-lookahead")
    told = command(sample).stderr.splitlines()
    assert len(told) == 3
    assert told[0].startswith(f"{sample}: Process lookahead: not imported: ")


def test_command_fails_where_nothing_is_imported(tmp_path: Path) -> None:
    sigma = written(tmp_path, SIMPLE.format(title="T").replace("Image", "ParentCommandLine"))
    output = tmp_path / "rules.yaml"
    output.write_text("as before")
    assert command(sigma, "-o", output).returncode == 2
    assert output.read_text() == "as before"


def test_command_says_how_to_get_pysigma(tmp_path: Path) -> None:
    sigma = written(tmp_path, SIMPLE.format(title="T"))
    done = command(sigma, without_pysigma=True)
    assert done.returncode == 3
    assert "pySigma is not installed" in done.stderr
    assert "etracee[sigma]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    done = command(
        written(tmp_path, SIMPLE.format(title="T")), "-o", tmp_path / "no" / "rules.yaml"
    )
    assert done.returncode == 2
    assert "cannot write" in done.stderr
