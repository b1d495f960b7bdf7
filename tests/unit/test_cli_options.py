"""What options of the command line become."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from etracee.cli import main
from etracee.cli._options import filters_from, split
from etracee.expr.parse import parse
from etracee.problems import ProblemsError

Etracee = Callable[..., "subprocess.CompletedProcess[str]"]


def test_values_and_ranges_of_ids() -> None:
    filters = filters_from(("10,20", "100-199"), ("0",), (), ())
    assert filters == (("--pid", "pid in (10, 20, 100..199)"), ("--uid", "uid in (0)"))


@pytest.mark.parametrize("word", ["", "a", "-1", "1-", "-", "1-2-3", "1 or uid exists", "0x10"])
def test_what_is_no_id(word: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        filters_from((), (word,), (), ())
    assert str(caught.value).startswith("--uid: ")


@pytest.mark.parametrize(
    "name", ["sh", "a b", "é", "ÿ", "日本", "'\"\\", "$x", ") or (uid exists", "\udcff\udc80"]
)
def test_name_of_a_thread_is_taken_as_bytes(name: str) -> None:
    """Whatever the name is made of, it is one value, with the bytes that the shell passed."""
    ((option, text),) = filters_from((), (), (), (name,))
    (word,) = parse(text).words
    assert option == "--comm"
    assert word.text.encode("utf-8", "surrogateescape") == name.encode("utf-8", "surrogateescape")


def test_split_at_commas() -> None:
    assert split(("a,b", "c")) == ("a", "b", "c")
    assert split(()) == ()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--uid", "x"), "--uid: 'x' is neither a number nor a range"),
        (("--uid", "4294967296"), "--uid: uid: 4294967296 is out of range"),
        (("--uid", "2-1"), "--uid: uid: the range '2..1' is empty"),
        (("--event", "opennat"), "the profile has no event 'opennat' (did you mean 'openat'?)"),
        (("--rules", "no-such-rules"), "no rule is named 'no-such-rules'"),
    ],
)
def test_wrong_options_are_wrong_input(etracee: Etracee, words: tuple[str, ...], told: str) -> None:
    done = etracee("generate", "--profile", "minimal", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    def help_of(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--help"])
        assert ended.value.code == 0
        return capsys.readouterr().out

    listed = help_of().partition("Commands:\n")[2].splitlines()
    commands = [line.split()[0] for line in listed if line.startswith("  ")]
    assert {"run", "generate", "validate", "list", "test", "doctor"} <= set(commands)
    for name in commands:
        assert help_of(name).startswith(f"Usage: etracee {name} ")


@pytest.mark.parametrize("words", [(), ("nothing",), ("generate",), ("run",), ("--nothing",)])
def test_wrong_use(etracee: Etracee, words: tuple[str, ...]) -> None:
    done = etracee(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_generated_program_and_its_files(etracee: Etracee, tmp_path: Path) -> None:
    shown = etracee("generate", "--profile", "minimal")
    done = etracee("generate", "--profile", "minimal", "-o", tmp_path / "out")
    assert (shown.returncode, done.returncode) == (0, 0)
    assert (tmp_path / "out/program.c").read_text() == shown.stdout
    assert {"program.c", "decoder.py"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    "subject", ["events", "families", "fields", "operators", "profiles", "rules"]
)
def test_lists(etracee: Etracee, subject: str) -> None:
    done = etracee("list", subject)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 2


@pytest.mark.parametrize(
    ("subject", "name", "row", "below"),
    [
        ("families", "$getid", "$getid  13 events  Ids of the caller read.", "getgroups"),
        ("families", "unlinkat", "$unlink  unlink, unlinkat, io_uring_unlinkat", ""),
        ("families", "$syscalls", "events  All calls", "settimeofday"),
        ("fields", "fd_path", " events  ", "fallocate"),
    ],
)
def test_lists_name_all_events_of_what_is_asked_for(
    etracee: Etracee, subject: str, name: str, row: str, below: str
) -> None:
    _, first, *more = etracee("list", subject, name).stdout.splitlines()
    assert row in first
    assert below in " ".join(more)
    assert all(len(line) < 130 for line in more if line.startswith("    "))
