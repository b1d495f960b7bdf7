"""Profiles and what `extends` makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from etracee.catalog import load_catalog
from etracee.problems import ProblemsError
from etracee.profile import Profile, load_profile
from etracee.profile.definitions import NamedList
from etracee.profile.families import expand_families


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    monkeypatch.chdir(tmp_path)
    return Loader(tmp_path)


class Loader:
    """Writes files and loads the one named main.yaml."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, **files: str) -> Profile:
        for name, text in files.items():
            head = "" if "name:" in text else f"name: {name}\n"
            (self.directory / f"{name}.yaml").write_text(head + text)
        return load_profile("./main.yaml")


def _texts(located: object) -> list[str]:
    assert isinstance(located, tuple)
    return [item.text for item in located]


def test_defaults(load: Loader) -> None:
    profile = load(main="events: {exit: }\n")
    assert (profile.name, profile.version, profile.description) == ("main", None, None)
    assert _texts(profile.context) == ["pid", "ppid", "uid", "gid", "comm"]
    assert (profile.options.max_string, profile.options.ring_buffer) == (256, 8 << 20)
    assert profile.options.attach == "auto"
    assert profile.events["exit"].fields is None
    assert profile.files == ("main.yaml",)


def test_bases_from_left_to_right_then_the_profile(load: Loader) -> None:
    profile = load(
        left="filter: uid = 1\noptions: {max_string: 32, max_argv: 100}\n"
        "events: {open: {filter: uid = 1}}\n",
        right="filter: uid = 2\noptions: {max_string: 64}\nevents: {open: {filter: uid = 2}}\n",
        main="extends: [./left.yaml, ./right.yaml]\nevents: {open: {fields: [filename]}}\n",
    )
    assert _texts(profile.filters) == ["uid = 2"]
    assert (profile.options.max_string, profile.options.max_argv) == (64, 100)
    event = profile.events["open"]
    assert event.filter is not None and event.fields is not None
    assert event.filter.text == "uid = 2"
    assert _texts(event.fields) == ["filename"]
    assert profile.files == ("left.yaml", "right.yaml", "main.yaml")


def test_each_base_counts_once_at_its_first_place(load: Loader) -> None:
    profile = load(
        root="events: {open: {}}\nfilter: uid = 0\n",
        a="extends: [./root.yaml]\nfilter: uid = 1\n",
        b="extends: [./root.yaml]\n",
        main="extends: [./a.yaml, ./b.yaml]\n",
    )
    assert profile.files == ("root.yaml", "a.yaml", "b.yaml", "main.yaml")
    assert _texts(profile.filters) == ["uid = 1"]


def test_events_merge_and_each_key_is_replaced(load: Loader) -> None:
    profile = load(
        base="events: {open: {fields: [filename, mode], filter: uid = 0}, exit: {}}\n",
        main="extends: [./base.yaml]\nevents: {open: {filter: gid = 0}, connect: {}}\n",
    )
    assert list(profile.events) == ["open", "exit", "connect"]
    event = profile.events["open"]
    assert event.fields is not None and event.filter is not None
    assert _texts(event.fields) == ["filename", "mode"]
    assert event.filter.text == "gid = 0"


def test_off_removes_an_event(load: Loader) -> None:
    profile = load(
        base="events: {open: {fields: [mode]}, exit: {}}\n",
        main="extends: [./base.yaml]\nevents: {open: off}\n",
    )
    assert list(profile.events) == ["exit"]


def test_what_comes_back_after_off_is_new(load: Loader) -> None:
    profile = load(
        base="events: {open: {fields: [mode]}, exit: {}}\n",
        less="extends: [./base.yaml]\nevents: {open: off}\n",
        main="extends: [./less.yaml]\nevents: {open: {}}\n",
    )
    assert profile.events["open"].fields is None


def test_context_is_replaced_lists_and_rules_are_united(load: Loader) -> None:
    profile = load(
        base="context: [pid, comm]\nlists: {a: [x], b: [y]}\nrules: [one, two]\n"
        "events: {exit: {}}\n",
        main="extends: [./base.yaml]\ncontext: [uid]\nlists: {b: [z]}\nrules: [two, three]\n",
    )
    assert _texts(profile.context) == ["uid"]
    assert {d.name.text: d.words for d in profile.definitions if isinstance(d, NamedList)} == {
        "a": ("x",),
        "b": ("z",),
    }
    assert _texts(profile.rules) == ["one", "two", "three"]


def test_name_version_and_description_are_not_inherited(load: Loader) -> None:
    profile = load(
        base="version: 2.0.0\ndescription: Base.\nevents: {exit: {}}\n",
        main="extends: [./base.yaml]\n",
    )
    assert (profile.name, profile.version, profile.description) == ("main", None, None)


def test_paths_start_at_the_file_that_names_them(load: Loader) -> None:
    inner = load.directory / "inner"
    inner.mkdir()
    (inner / "a.yaml").write_text("name: a\nextends: [./b.yaml]\n")
    (inner / "b.yaml").write_text("name: b\nevents: {exit: {}}\n")
    profile = load(main="extends: [inner/a.yaml]\n")
    assert profile.files == ("inner/b.yaml", "inner/a.yaml", "main.yaml")


def test_bundled_name(load: Loader) -> None:
    assert {"execve", "openat"} <= set(load(main="extends: [minimal]\n").events)


def test_command_line_looks_in_the_working_directory_first(load: Loader) -> None:
    (load.directory / "minimal.yaml").write_text("name: mine\nevents: {exit: {}}\n")
    assert load_profile("minimal").name == "mine"
    assert load_profile("minimal.yaml").name == "mine"


def test_extends_never_looks_there(load: Loader) -> None:
    (load.directory / "minimal.yaml").write_text("name: mine\nevents: {exit: {}}\n")
    profile = load(main="extends: [minimal]\n")
    assert "openat" in profile.events
    assert all(not file.startswith("minimal") for file in profile.files)


def test_circle_is_named(load: Loader) -> None:
    with pytest.raises(ProblemsError) as caught:
        load(
            a="extends: [./b.yaml]\n",
            b="extends: [./main.yaml]\n",
            main="extends: [./a.yaml]\n",
        )
    told = str(caught.value)
    assert "main.yaml → a.yaml → b.yaml → main.yaml" in told
    assert told.startswith("b.yaml:2:11: ")


def test_number_of_files_is_bounded(load: Loader) -> None:
    files = {f"p{n}": f"extends: [./p{n + 1}.yaml]\n" for n in range(150)}
    with pytest.raises(ProblemsError) as caught:
        load(**files, p150="events: {exit: {}}\n", main="extends: [./p0.yaml]\n")
    assert "more than 100 profiles extend each other" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("65536", 65536), ("64KiB", 1 << 16), ("8 MiB", 8 << 20), ("1GiB", 1 << 30)],
)
def test_sizes(load: Loader, text: str, size: int) -> None:
    profile = load(main=f"events: {{exit: {{}}}}\noptions: {{ring_buffer: {text}}}\n")
    assert profile.options.ring_buffer == size


@pytest.mark.parametrize("version", ["0.0.1", "1.2.3", "1.2.3-rc.1", "10.20.30+build5"])
def test_versions(load: Loader, version: str) -> None:
    assert load(main=f"version: {version}\nevents: {{exit: {{}}}}\n").version == version


@pytest.mark.parametrize("version", ["1", "1.0", "01.0.0", "v1.0.0", "1.0.0.0", "latest"])
def test_what_is_no_version(load: Loader, version: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        load(main=f"version: {version}\nevents: {{exit: {{}}}}\n")
    assert "main.yaml:2:10: version: " in str(caught.value)


def test_modes_and_counts_are_replaced_each_key_by_itself(load: Loader) -> None:
    profile = load(
        base="mode: count\ncount: {by: [comm], histogram: ret, every: 2s}\n"
        "events: {open: {mode: events, count: {by: [pid]}}, close: }\n",
        main="extends: [./base.yaml]\ncount: {by: [uid]}\nevents: {open: {mode: count}}\n",
    )
    assert profile.mode == "count" and profile.every == 5.0
    assert profile.count is not None and profile.count.histogram is None
    assert _texts(profile.count.by) == ["uid"]
    assert profile.events["open"].mode == "count"
    assert profile.events["open"].count is not None
    assert _texts(profile.events["open"].count.by) == ["pid"]


@pytest.mark.parametrize(
    "order",
    [
        "$open: {filter: uid = 0}\n  openat: {fields: [flags]}",
        "openat: {fields: [flags]}\n  $open: {filter: uid = 0}",
    ],
)
def test_what_is_said_of_an_event_comes_over_what_is_said_of_its_family(
    load: Loader, order: str
) -> None:
    profile = load(main=f"events:\n  {order}\n  open: off\n  exit: {{}}\n")
    events = expand_families(profile, load_catalog("x86_64")).events
    requests = {"io_uring_openat", "io_uring_openat2"}
    assert set(events) == {"openat", "openat2", "creat", "exit", *requests}
    openat, creat = events["openat"], events["creat"]
    assert openat.fields is not None and _texts(openat.fields) == ["flags"]
    assert openat.filter is not None and openat.filter.text == "uid = 0"
    assert creat.fields is None and creat.filter == openat.filter
    assert (openat.name.text, creat.name.text) == ("openat", "creat")


def test_a_base_says_off_and_the_profile_names_the_event_again(load: Loader) -> None:
    profile = load(
        base="events: {$open: {}, open: off, creat: off}\n",
        main="extends: [./base.yaml]\nevents: {creat: {}}\n",
    )
    assert set(expand_families(profile, load_catalog("x86_64")).events) == {
        "openat",
        "openat2",
        "creat",
        "io_uring_openat",
        "io_uring_openat2",
    }


def test_all_calls_are_a_family(load: Loader) -> None:
    catalog = load_catalog("aarch64")
    events = expand_families(load(main="events: {$syscalls: {}}\n"), catalog).events
    assert set(events) == {name for name, e in catalog.events.items() if e.number is not None}
