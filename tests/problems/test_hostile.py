"""Files that no comment can be written into: too big, too deep, not text, or made to expand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Etracee = Callable[..., "subprocess.CompletedProcess[str]"]
HEAD = "name: x\nevents: {openat: {}}\n"


def _filter(text: str) -> bytes:
    return f"{HEAD}filter: >-\n  {text}\n".encode()


def _bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))
    return "\n".join(lines).encode()


FILES = {
    "10 MB": (HEAD.encode() + b"# padding\n" * 1_000_000, "the file is larger than"),
    "anchors bomb": (_bomb(), "aliases counted in full"),
    "merge bomb": (
        b"a: &a {k: v}\n" + b"\n".join(b"m%d: {<<: *a}" % n for n in range(60_000)),
        "more than 100000 values",
    ),
    "deep lists": (b"name: x\nevents: " + b"[" * 5000, "nested deeper than"),
    "deep mappings": (
        "\n".join(f"{' ' * n}k:" for n in range(1000)).encode(),
        "nested deeper than",
    ),
    "5,000 brackets": (_filter("(" * 5000), "ends too early"),
    "5,000 closed brackets": (_filter("(" * 5000 + "uid = 0" + ")" * 5000), None),
    "4,000 nots": (_filter("not " * 4000 + "uid = 0"), "nests deeper than"),
    "alternating depth": (
        _filter("(uid = 0 and (uid = 1 or " * 300 + "uid = 0" + "))" * 300),
        "nests deeper than",
    ),
    "long expression": (_filter(" or ".join(["uid = 0"] * 5000)), "longer than 16384 characters"),
    "long number": (_filter(f"uid = {'1' * 5000}"), "uid: "),
    "long hexadecimal number": (_filter(f"uid = 0x{'f' * 5000}"), "uid: "),
    "long text": (_filter(f"comm = {'a' * 5000}"), "is longer than any path"),
    "greedy expression": (
        f"{HEAD}filter: \"comm matches '((a{{100}}){{100}}){{100}}'\"\n".encode(),
        "not a regular expression of RE2",
    ),
    "long option": (f"{HEAD}options: {{max_string: {'9' * 6000}}}\n".encode(), "max_string: "),
    "binary": (bytes(range(256)) * 16, "byte 0x80 is not UTF-8 text"),
    "ELF": (b"\x7fELF\x02\x01\x01" + bytes(100), "is not allowed"),
    "random bytes": (b"\x80\x81\xfe\xff" * 100, "byte 0x80 is not UTF-8 text"),
    "invalid UTF-8": (b"name: x\ndescription: a\xffb\n", "2:15: byte 0xff is not UTF-8 text"),
    "surrogates": (b"name: x\ndescription: a\xed\xa0\x80b\n", "2:15: byte 0xed is not UTF-8 text"),
    "NUL": (b"name: x\0\n", "1:8: character #x0000 is not allowed"),
    "escape sequence": (b"name: \x1b[31mx\n", "1:7: character #x001b is not allowed"),
    "UTF-16": ("name: x\n".encode("utf-16"), "is not UTF-8 text"),
    "empty": (b"", "the file must be a mapping"),
    "only a comment": (b"# nothing\n", "the file must be a mapping"),
    "scalar": (b"events\n", "the file must be a mapping"),
    "Python tag": (b"!!python/object/apply:os.system ['true']", "the file must be a mapping"),
    "many problems": (
        b"name: x\nevents: {exit: {}}\n" + b"".join(b"k%d: 1\n" % n for n in range(80)),
        "and 30 more",
    ),
}


@pytest.mark.parametrize("name", [name for name, (_, told) in FILES.items() if told])
def test_refused(name: str, etracee: Etracee, tmp_path: Path) -> None:
    """Exit code 2 within the fixture's ten seconds, a message with its place, no traceback."""
    content, told = FILES[name]
    file = tmp_path / "profile.yaml"
    file.write_bytes(content)
    done = etracee("validate", "./profile.yaml", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert str(told) in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("profile.yaml:")
    assert all(len(line) < 10_000 for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) <= 51
    assert done.stderr.replace("\n", "").isprintable()


def test_closed_brackets_are_no_nesting(etracee: Etracee, tmp_path: Path) -> None:
    """Brackets around one comparison mean nothing, however many there are."""
    (tmp_path / "profile.yaml").write_bytes(FILES["5,000 closed brackets"][0])
    assert etracee("validate", "./profile.yaml", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["binary", "10 MB", "anchors bomb", "invalid UTF-8", "empty"])
def test_rule_file_refused(name: str, etracee: Etracee, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_bytes(FILES[name][0])
    done = etracee("validate", "minimal", "--rules", "./rules.yaml", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert str(FILES[name][1]) in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_file(etracee: Etracee, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").mkdir()
    for name in ("./profile.yaml", "./missing.yaml", "./missing/profile.yaml", ""):
        done = etracee("validate", name, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_what_may_not_be_read(etracee: Etracee, tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    file.write_text(HEAD)
    file.chmod(0)
    done = etracee("validate", "./profile.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


def test_name_of_a_file_cannot_steer_the_terminal(etracee: Etracee, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m\nb.yaml").write_text("name: x\n")
    done = etracee("validate", "./a\x1b[31m\nb.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_base_in_the_working_directory_is_not_found(etracee: Etracee, tmp_path: Path) -> None:
    """Else a file that somebody left in /tmp would become part of what runs as root."""
    (tmp_path / "mine.yaml").write_text("name: mine\nevents: {exit: {}}\n")
    (tmp_path / "profile.yaml").write_text("name: x\nextends: [mine]\n")
    done = etracee("validate", "./profile.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "profile.yaml:2:11: no profile is named 'mine'" in done.stderr


def test_every_wrong_file_is_told(etracee: Etracee, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("nme: x\n")
    (tmp_path / "b.yaml").write_text(HEAD)
    (tmp_path / "c.yaml").write_text(f"{HEAD}rules: [./r.yaml]\n")
    (tmp_path / "r.yaml").write_text("ruls: []\n")
    done = etracee("validate", "./a.yaml", "./b.yaml", "./c.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "a.yaml:1:1: unknown key 'nme' (did you mean 'name'?)" in done.stderr
    assert "r.yaml:1:1: unknown key 'ruls' (did you mean 'rules'?)" in done.stderr
    assert "b.yaml: fine" in done.stdout
