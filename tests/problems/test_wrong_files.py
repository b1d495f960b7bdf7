"""Wrong files, each with the expected message on the wrong line.

`# error: TEXT` stands for a problem on that line whose message contains TEXT; `# error: :7: TEXT`
also names its column. A problem that no comment tells is a failure, as is a comment without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from etracee.cli import main
from etracee.plan import Request, make_plan
from etracee.problems import ExitCode, Place, Problem, ProblemsError
from etracee.source_set import load_source_set

HERE = Path(__file__).parent
PROFILES = sorted(HERE.glob("*.yaml"))
RULES = sorted((HERE / "rules").glob("*.yaml"))
TESTED = sorted((HERE / "tested").glob("*.yaml"))
GOOD_PROFILE = "name: fine\nevents: {openat: {}}\n"

_EXPECTED = re.compile(r"# error: (?::(\d+): )?(.*?)\s*(?=# error: |$)")
_TOLD = re.compile(r"(.*?):(\d+):(\d+): (.*)")
_NAMED_FILE = re.compile(r"(?<=[\[ ])\.\.?/[\w./-]+\.yaml")


@dataclass(frozen=True)
class Expected:
    """What a comment tells."""

    file: str
    line: int
    column: int | None
    text: str

    def fits(self, problem: Problem) -> bool:
        where = problem.where
        return (
            where is not None
            and Path(where.file).name == self.file
            and where.line == self.line
            and self.column in (None, where.column)
            and self.text in str(problem).removeprefix(f"{where}: ")
        )


def expected_in(path: Path) -> list[Expected]:
    return [
        Expected(path.name, number, int(column) if column else None, text)
        for number, line in enumerate(path.read_text().split("\n"), 1)
        for column, text in _EXPECTED.findall(line)
    ]


def involved(path: Path) -> Iterable[Path]:
    """Return the file and those that it names by a path."""
    named = (path.parent / name for name in _NAMED_FILE.findall(path.read_text()))
    return {path, *(file.resolve() for file in named if file.is_file())}


def problems_of(profile: Path, *rules: Path) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        source = load_source_set(str(profile), tuple(map(str, rules)), "x86_64")
        make_plan(source.profile, source.rules, Request(), source.catalog)
    assert caught.value.code == ExitCode.WRONG_INPUT
    return caught.value.problems


def problem_of(line: str) -> Problem:
    """Return the problem that a line tells."""
    found = _TOLD.fullmatch(line)
    assert found, line
    return Problem(Place(found[1], int(found[2]), int(found[3])), found[4])


def compare(problems: tuple[Problem, ...], expected: list[Expected]) -> None:
    assert expected, "the file says of no line what is wrong"
    missing = [e for e in expected if not any(e.fits(problem) for problem in problems)]
    extra = [str(p) for p in problems if not any(e.fits(p) for e in expected)]
    assert (missing, extra) == ([], [])
    assert len(problems) == len(expected)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profile(path: Path) -> None:
    expected = [e for file in involved(path) for e in expected_in(file)]
    compare(problems_of(path), expected)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules(path: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(GOOD_PROFILE)
    expected = [e for file in involved(path) for e in expected_in(file)]
    compare(problems_of(profile, path), expected)


@pytest.mark.parametrize("path", TESTED, ids=lambda path: path.stem)
def test_tests_of_rules(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `etracee test` says of rules that are right, and tests that are wrong."""
    with pytest.raises(SystemExit) as ended:
        main(["test", str(path)])
    assert ended.value.code == ExitCode.WRONG_INPUT
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
    compare(tuple(map(problem_of, told)), expected_in(path))


@pytest.mark.parametrize(
    "path", [*PROFILES, *RULES], ids=lambda path: f"{path.parent.stem}-{path.stem}"
)
def test_validate_tells_it_on_stderr(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; every line a place or a message, none of them a control character."""
    profile = tmp_path / "profile.yaml"
    profile.write_text(GOOD_PROFILE)
    words = [str(profile), "--rules", str(path)] if path in RULES else [str(path)]
    with pytest.raises(SystemExit) as ended:
        main(["validate", *words])
    told = capsys.readouterr()
    assert ended.value.code == ExitCode.WRONG_INPUT
    assert told.err.replace("\n", "").isprintable()
    assert len(told.err.splitlines()) == sum(len(expected_in(file)) for file in involved(path))
