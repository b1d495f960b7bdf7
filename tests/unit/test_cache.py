"""Programs that are kept: what is found again, what is refused, what goes when there are many."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from etracee.inputs import Inputs, note_file, note_lookup, record_inputs
from etracee.resources import find_file
from etracee.runtime import cache
from etracee.runtime.cache import Cache, cache_directory, clear_cache, measure_cache
from etracee.runtime.image import Image
from etracee.runtime.order import Order
from etracee.source import read_document

ORDER = Order("some")
IMAGE = Image(
    attach="tracepoint",
    typed_loads=True,
    profile="some",
    version=None,
    files=(),
    notes=("note: one",),
    maps=(),
    contents=(("map", b"key", b"value"),),
    functions=(),
    branches=(),
    stubs=(),
    places=(),
    decoder="",
    python=b"",
    compiled=b"",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kept"
    monkeypatch.setenv("CACHE_DIRECTORY", f"{path}:/elsewhere")
    return path


def keep(order: Order = ORDER, inputs: Inputs | None = None) -> Path:
    """Keep the image, and return the file."""
    before = set(Path(cache_directory()).glob("*"))
    Cache(order).keep(IMAGE, inputs or Inputs())
    (new,) = set(Path(cache_directory()).glob("*")) - before
    return new


def test_what_is_kept_is_found(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    entry = keep()
    assert Cache(ORDER).find() == IMAGE
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "other",
    [Order("other"), Order("some", tree=True), Order("some", filters=(("--uid", "uid in (0)"),))],
)
def test_another_order_is_another_program(other: Order) -> None:
    keep()
    assert Cache(other).find() is None


def test_another_directory_may_mean_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep()
    monkeypatch.chdir(tmp_path)
    assert Cache(ORDER).find() is None


def flip(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)


def become_a_link(entry: Path) -> None:
    real = entry.rename(entry.with_name("real"))
    entry.symlink_to(real)


def become_a_fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def become_a_directory(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()


def become_anothers(entry: Path) -> None:
    os.chown(entry, 65534, -1)


def become_another_programs(entry: Path) -> None:
    keep(Order("other")).rename(entry)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flip, "it is cut or damaged"),
        (lambda entry: os.truncate(entry, entry.stat().st_size - 1), "it is cut or damaged"),
        (lambda entry: os.truncate(entry, 0), "it was not written by this version of etracee"),
        (become_a_link, "Too many levels of symbolic links"),
        (become_a_fifo, "it is no regular file"),
        (become_a_directory, "Is a directory"),
        (lambda entry: entry.chmod(0o620), "others may write to it"),
        (lambda entry: entry.chmod(0o602), "others may write to it"),
        pytest.param(become_anothers, "it belongs to user 65534", marks=needs_root),
        (become_another_programs, "it is another program's"),
    ],
)
def test_a_wrong_entry_is_refused(
    change: Callable[[Path], None], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = keep()
    change(entry)
    assert Cache(ORDER).find() is None
    said = capfd.readouterr().err
    assert said == (f"etracee: note: {entry} is refused, and the program compiled anew: {reason}\n")


@pytest.mark.parametrize("change", [flip, become_a_link, become_a_fifo])
def test_a_wrong_entry_is_replaced(change: Callable[[Path], None]) -> None:
    change(keep())
    Cache(ORDER).keep(IMAGE, Inputs())
    assert Cache(ORDER).find() == IMAGE


def belong_to_another(path: Path) -> None:
    path.mkdir()
    os.chown(path, 65534, -1)


def be_a_link(path: Path) -> None:
    path.with_name("real").mkdir()
    path.symlink_to(path.with_name("real"))


def be_open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (be_open_to_all, "others may write to it (chmod go-w)"),
        (be_a_link, "it is no directory, or a symbolic link"),
        (Path.touch, "it is no directory, or a symbolic link"),
        pytest.param(belong_to_another, "it belongs to user 65534", marks=needs_root),
    ],
)
def test_a_directory_of_others_is_not_used(
    directory: Path,
    make: Callable[[Path], None],
    reason: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make(directory)
    Cache(ORDER).keep(IMAGE, Inputs())
    said = capfd.readouterr().err
    assert said == f"etracee: note: the compiled program is not kept in {directory}: {reason}\n"
    assert Cache(ORDER).find() is None
    assert capfd.readouterr().err == "", "it is said once"
    assert measure_cache() == (0, f"{directory}: {reason}")
    with pytest.raises(OSError, match=r"."):
        clear_cache()


def test_a_missing_place_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "none" / "below"))
    Cache(ORDER).keep(IMAGE, Inputs())
    assert capfd.readouterr().err.endswith(": No such file or directory\n")


def test_a_name_of_any_bytes_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    Cache(ORDER).keep(IMAGE, Inputs(absent=[os.fsdecode(b"/tmp/\xff.yaml")]))
    assert "is not kept in" in capfd.readouterr().err
    assert Cache(ORDER).find() is None


def test_what_was_not_used_for_longest_goes(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keep(Order("first"))
    monkeypatch.setattr(cache, "MOST_BYTES", first.stat().st_size * 3)
    others = [keep(Order(name)) for name in ("other", "third")]
    for seconds, entry in enumerate([first, *others]):
        os.utime(entry, (seconds, seconds))
    assert Cache(Order("first")).find(), "which is a use of it"
    last = keep(Order("last"))
    assert set(directory.iterdir()) == {first, others[1], last}


def test_all_can_be_removed(directory: Path) -> None:
    assert clear_cache() == 0
    keep()
    keep(Order("other"))
    (directory / "0123.new").write_text("half writt")
    (directory / "foreign").write_text("not ours")
    assert clear_cache() == 2
    assert [path.name for path in directory.iterdir()] == ["foreign"]


def test_a_document_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("name: one")
    with record_inputs() as inputs:
        read_document(path)
    keep(inputs=inputs)
    assert Cache(ORDER).find()
    path.write_text("name: two")
    assert Cache(ORDER).find() is None
    path.unlink()
    assert Cache(ORDER).find() is None
    os.mkfifo(path)
    assert Cache(ORDER).find() is None


def test_a_file_that_comes_first_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with record_inputs() as inputs:
        find_file("profiles", "minimal")
    assert inputs.are_same()
    shadow = tmp_path / "minimal.yaml"
    shadow.mkdir()
    assert inputs.are_same(), "a directory is no profile"
    shadow.rmdir()
    shadow.touch()
    assert not inputs.are_same()


def test_a_link_that_leads_elsewhere_is_noticed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    for name in ("one", "two"):
        (tmp_path / name).touch()
    link.symlink_to("one")
    with record_inputs() as inputs:
        find_file("profiles", str(link))
    assert inputs.are_same()
    link.unlink()
    link.symlink_to("two")
    assert not inputs.are_same()


def test_nothing_is_noted_outside(tmp_path: Path) -> None:
    with record_inputs() as inputs:
        pass
    note_file(tmp_path, b"")
    note_lookup(tmp_path, is_there=True)
    assert inputs == Inputs()
