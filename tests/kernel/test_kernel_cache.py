"""A start from a kept program does what the start did that has compiled it, and needs no compiler.

A start that must not compile is given a module bcc that cannot be imported: then it ends with exit
code 3 where it would compile.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kernel_run import CHECKOUT, PATIENCE, lacks, parse_lines, script
from kernel_starts import Listener, Starts, assert_each_once, compared, opened

from etracee.runtime.image import seal, unseal

WORK = """
import pathlib, time
for name in sys.argv[1:]:
    pathlib.Path(name).write_text("x")
    try:
        os.open(name + "-missing", os.O_RDONLY)
    except OSError:
        pass
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))
except OSError:
    pass
try:
    os.execv("/no/such/program", ["first", "second"])
except OSError:
    pass
if os.fork() == 0:
    os.execv("/bin/true", ["true", *map(str, range(20))])
os.wait()
"""
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "plain": {"events": {"execve": {}, "openat": {}, "connect": {}, "exit": {}}},
    "lifecycle": {"events": {"fork": {}, "exec": {}, "exit": {}}},
    "one hook for all": {
        "events": {"execve": {}, "openat": {}},
        "options": {"attach": "raw_tracepoint"},
    },
    "32-bit calls": {"events": {"openat": {}}, "options": {"compat": "decode"}},
    "io_uring": {"events": {"openat": {}, "io_uring_openat": {}}},
    "entry": {"events": {"openat": {"fields": ["filename", "path", "path_source"]}}},
    "counts": {
        "mode": "count",
        "count": {"by": ["comm"], "every": "1h"},
        "events": {"openat": {}, "execve": {}},
    },
    "a trie": {
        "events": {
            "openat": {
                "filter": " or ".join(
                    f"filename startswith {start}"
                    for start in ("/tmp", *(f"/nowhere/{number}/" for number in range(100)))
                )
            }
        },
    },
    "grams": {
        "events": {"openat": {"filter": "filename contains -missing or filename contains etc"}}
    },
}
RULE = {
    "rules": [
        {
            "id": "kept-rule",
            "title": "Opened",
            "level": "high",
            "events": ["openat"],
            "condition": "filename endswith -missing",
            "output": "{comm} opened {filename}",
        }
    ]
}


@pytest.fixture
def starts(host: None, tmp_path: Path) -> Iterator[Starts]:
    found = Starts(tmp_path)
    yield found
    found.clean_up()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """Return a profile that extends another, which has rules, one of which can never fire."""
    never = {**RULE["rules"][0], "id": "never", "condition": "uid = 1 and uid = 2"}
    write(tmp_path / "rules.yaml", {"rules": [*RULE["rules"], never]})
    write(tmp_path / "base.yaml", {"name": "base", **PROFILES["plain"], "rules": ["./rules.yaml"]})
    path = tmp_path / "own.yaml"
    write(path, {"name": "own", "extends": ["./base.yaml"]})
    return path


def write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", PROFILES)
def test_the_same_is_told(starts: Starts, tmp_path: Path, work: Path, name: str) -> None:
    path = tmp_path / "profile.yaml"
    write(path, {"name": "kept", **PROFILES[name]})
    words = (*script(work, WORK), work / "a", work / "b")
    compiled = starts.trace(path, *words)
    kept = starts.trace(path, *words, compiles=False)
    assert compiled.items, "the workload makes something of each kind"
    assert compared(kept.items) == compared(compiled.items)
    assert kept.stderr == compiled.stderr


def test_rules_and_notes_are_the_same(starts: Starts, profile: Path, work: Path) -> None:
    words = (*script(work, WORK), work / "a")
    compiled, kept = (starts.trace(profile, *words, compiles=each) for each in (True, False))
    alerts = [item for item in kept.items if item["type"] == "alert"]
    assert [alert["message"].partition(" ")[2] for alert in alerts] == [f"opened {work}/a-missing"]
    assert compared(kept.items) == compared(compiled.items)
    assert "warning: " in compiled.stderr
    assert kept.stderr == compiled.stderr


def test_actions_spare_what_has_started_this_run(starts: Starts, tmp_path: Path) -> None:
    rule = {**RULE["rules"][0], "condition": "comm = sh", "actions": ["kill"], "events": ["exit"]}
    write(tmp_path / "rules.yaml", {"rules": [{**rule, "events": ["openat"]}]})
    path = tmp_path / "own.yaml"
    write(path, {"name": "own", "events": {"exit": {}}, "rules": ["./rules.yaml"]})
    words = ("run", "-p", path, "--allow-actions", "--", "sh", "-c", "read x < /etc/hostname")
    for compiles in (True, False):
        run = starts.run(*words, compiles=compiles, code=128 + signal.SIGKILL)
        assert any(item["type"] == "alert" for item in parse_lines(run.stdout))


def test_what_it_is_made_of_is_looked_at(starts: Starts, tmp_path: Path, profile: Path) -> None:
    starts.trace(profile, "true")
    assert starts.is_kept("-p", profile)
    for changed in ("own.yaml", "base.yaml", "rules.yaml"):
        path = tmp_path / changed
        before = path.read_text()
        path.write_text(before + " ")
        assert not starts.is_kept("-p", profile), f"{changed} has changed"
        path.write_text(before)
        assert starts.is_kept("-p", profile), f"{changed} is as it was"


def test_what_is_asked_for_is_told_apart(starts: Starts, profile: Path, tmp_path: Path) -> None:
    starts.trace(profile, "true")
    assert starts.is_kept("-p", profile, "-o", tmp_path / "x", "--duration", "9s")
    for words in (("--uid", "0"), ("--event", "openat"), ("--alerts-only",), ("-r", "common")):
        assert not starts.is_kept("-p", profile, *words)


def test_a_profile_that_now_comes_first_is_found(starts: Starts, tmp_path: Path) -> None:
    starts.trace("process", "true")
    assert starts.is_kept("-p", "process")
    shadow = tmp_path / "process.yaml"
    write(shadow, {"name": "shadow", "events": {"exit": {}}})
    run = starts.trace("process", "true")
    assert "profile shadow" in run.stderr
    shadow.unlink()
    assert "profile shadow" not in starts.trace("process", "true").stderr


def test_a_link_that_leads_elsewhere_is_found(starts: Starts, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "p.yaml", {"name": name, "events": {"exit": {}}})
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / name / "p.yaml")
        assert f"profile {name}" in starts.trace(link, "true").stderr


@pytest.mark.parametrize(
    "part",
    ["etracee/catalog/data/context.yaml", "templates/bpf/program.c.j2", "etracee/clock.py"],
)
def test_another_etracee_compiles_anew(starts: Starts, tmp_path: Path, part: str) -> None:
    copy = tmp_path / "copy"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("etracee", "templates", "profiles", "rules"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=ignore)
    starts.checkout = copy
    starts.trace("process", "true")
    assert starts.is_kept("-p", "process")
    with (copy / part).open("a") as file:
        file.write("\n")
    assert not starts.is_kept("-p", "process")


def test_a_wrong_entry_is_refused_and_replaced(starts: Starts) -> None:
    starts.trace("process", "true")
    (entry,) = starts.entries()
    os.truncate(entry, entry.stat().st_size - 1)
    run = starts.trace("process", "true")
    (refused,) = (line for line in run.stderr.splitlines() if str(entry) in line)
    assert "is refused, and the program compiled anew: it is cut or damaged" in refused
    assert run.events
    assert starts.is_kept("-p", "process")


def test_a_program_that_the_kernel_refuses_is_compiled_anew(starts: Starts) -> None:
    """As of another kernel of the same name."""
    starts.trace("process", "true")
    (entry,) = starts.entries()
    content = entry.read_bytes()
    kept = msgspec.msgpack.decode(unseal(content))
    for function in kept["image"]["functions"]:
        function[2:4] = bytes(len(function[2])), []
    entry.write_bytes(seal(msgspec.msgpack.encode(kept)))
    run = starts.trace("process", "true")
    assert "is refused, and the program compiled anew: the kernel's verifier" in run.stderr
    assert run.events
    assert starts.is_kept("-p", "process")


def test_an_unusable_directory_is_told_once(starts: Starts) -> None:
    starts.kept.mkdir()
    starts.kept.chmod(0o777)
    run = starts.trace("process", "true")
    (told,) = (line for line in run.stderr.splitlines() if str(starts.kept) in line)
    assert "is not kept in" in told
    assert run.events
    assert not starts.is_kept("-p", "process")


def test_a_full_disk_is_told_once(starts: Starts) -> None:
    starts.kept.mkdir(0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k,mode=700", "tmpfs", starts.kept], check=False
    )
    if mounted.returncode:
        lacks("a file system cannot be mounted")
    try:
        run = starts.trace("process", "true")
        assert starts.entries() == [], "nothing half written stays"
    finally:
        subprocess.run(["umount", starts.kept], check=True)
    assert re.search(r"is not kept in .*: No space left on device", run.stderr), run.stderr
    assert run.events


def test_two_starts_at_once(starts: Starts) -> None:
    words = ("run", "-p", "process", "--", "true")
    for process in [starts.start(*words) for _ in range(2)]:
        _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, stderr
        assert b"note" not in stderr
    assert len(starts.entries()) == 1
    assert starts.is_kept("-p", "process")


def test_nothing_is_kept_where_that_is_asked_for(starts: Starts) -> None:
    starts.trace("process", "true", options=("--no-cache",))
    assert starts.entries() == []
    starts.trace("process", "true")
    (entry,) = starts.entries()
    before = entry.stat()
    starts.run("run", "-p", "process", "--no-cache", "--", "true", compiles=False, code=3)
    assert entry.stat() == before
    assert "removed 1 compiled programs" in starts.run("doctor", "--clear-cache").stderr
    assert starts.entries() == []


def test_a_kept_program_can_be_reloaded(starts: Starts, tmp_path: Path) -> None:
    path, output = tmp_path / "own.yaml", tmp_path / "events.json"
    write(path, {"name": "own", "events": {"openat": {}}})
    starts.run("run", "-p", path, "-o", output, "--duration", "1ms")
    process = starts.start("run", "-p", path, "-o", output, compiles=False)
    said = Listener(process)
    opened(tmp_path, output, "first")
    process.send_signal(signal.SIGHUP)
    said.await_text("reloaded profile own: 1 events, 0 rules")
    opened(tmp_path, output, "second")
    write(path, {"name": "other", "events": {"openat": {}, "exit": {}}})
    process.send_signal(signal.SIGHUP)
    said.await_text("reload failed")
    opened(tmp_path, output, "third")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert_each_once(output, tmp_path, ("first", "second", "third"))
