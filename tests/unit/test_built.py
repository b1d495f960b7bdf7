"""Built files: whose they may be, for which hosts they are, and what they can take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_cache import IMAGE

from etracee.kernel.identity import identify_kernel
from etracee.problems import ExitCode, ProblemsError
from etracee.runtime.built import build, read_built
from etracee.runtime.image import seal, unseal
from etracee.runtime.order import Order

pytestmark = pytest.mark.skipif(identify_kernel() is None, reason="no build id is told")
HOST, TREE = (msgspec.structs.replace(IMAGE, profile=name) for name in ("host", "tree"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a built file in a directory that nobody else writes to."""
    found = tmp_path / "own" / "file"
    found.parent.mkdir(mode=0o700)
    found.write_bytes(build(Order("some"), HOST, TREE))
    found.chmod(0o600)
    return found


def order(path: Path, **wishes: Any) -> Order:
    return Order(str(path), is_built=True, **wishes)


def refusal(path: Path, code: ExitCode, **wishes: Any) -> str:
    with pytest.raises(ProblemsError) as caught:
        read_built(order(path, **wishes))
    assert caught.value.code == code
    return str(caught.value)


def change(path: Path, what: Callable[[dict[str, Any]], None]) -> None:
    content = msgspec.msgpack.decode(unseal(path.read_bytes()))
    what(content)
    path.write_bytes(seal(msgspec.msgpack.encode(content)))


def test_there_is_one_for_the_host_and_one_for_a_command(path: Path) -> None:
    assert read_built(order(path)) == HOST
    assert read_built(order(path, tree=True)) == TREE


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"filters": (("--uid", "uid in (0)"),)}, "cannot take --uid"),
        ({"events": ("exec",)}, "cannot take --event"),
        ({"alerts_only": True}, "cannot take --alerts-only"),
        ({"rules": ("common",)}, "cannot take --rules"),
        ({"allow_actions": True}, "was built without --allow-actions"),
    ],
)
def test_what_was_not_built_in_is_refused(path: Path, wishes: dict[str, Any], said: str) -> None:
    found = refusal(path, ExitCode.WRONG_INPUT, **wishes)
    assert said in found
    assert "give that to etracee build" in found


def test_actions_must_be_allowed_twice(path: Path) -> None:
    path.write_bytes(build(Order("some", allow_actions=True, alerts_only=True), HOST, TREE))
    assert "--allow-actions" in refusal(path, ExitCode.WRONG_INPUT)
    assert read_built(order(path, allow_actions=True)) == HOST
    assert read_built(order(path, allow_actions=True, alerts_only=True)) == HOST


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda content: content["kernel"].update(build_id="00" * 20), "(000000000000)"),
        (lambda content: content["kernel"].update(machine="riscv64"), "riscv64"),
        (lambda content: content["kernel"].update(release="2.6.32"), "for the kernel 2.6.32"),
        (lambda content: content.update(version="0.0.1", code=b""), "was written by etracee 0.0.1"),
        (lambda content: content.update(code=b""), "with other code"),
    ],
)
def test_another_hosts_is_refused(
    path: Path, what: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(path, what)
    found = refusal(path, ExitCode.HOST)
    assert said in found
    assert "etracee build -p PROFILE -o FILE" in found


def give_away(path: Path) -> None:
    os.chown(path, 65534, -1)


def give_directory_away(path: Path) -> None:
    path.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda path: path.chmod(0o666), "others may write to"),
        (lambda path: path.chmod(0o664), "others may write to"),
        pytest.param(give_away, "belongs to user 65534", marks=needs_root),
        (give_directory_away, "others may write to"),
        (lambda path: os.truncate(path, 1000), "it is cut or damaged"),
        (lambda path: path.write_text("name: x"), "it was not written by this version"),
        (Path.unlink, "cannot read"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "it is no regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    ],
)
def test_what_cannot_be_trusted_is_refused(
    path: Path, what: Callable[[Path], object], said: str
) -> None:
    what(path)
    assert said in refusal(path, ExitCode.WRONG_INPUT)


@needs_root
def test_a_callers_own_file_is_trusted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_away(path)
    monkeypatch.setenv("SUDO_UID", "65534")
    assert read_built(order(path)) == HOST
