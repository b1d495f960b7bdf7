"""Who started a process: ancestors against the names that /proc shows from parent to parent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from kernel_run import Etracee, script, unique_comm, until

CONTEXT = ["pid", "ppid", "comm", "ancestors", "entity_id", "parent.entity_id"]
OPENAT = {"openat": {"fields": ["filename"]}}
PROFILE = {"context": CONTEXT, "events": OPENAT}

TELL = """
import json
def parent_of(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
def above():
    names, pid = [], os.getppid()
    while pid:
        names.append(open(f"/proc/{pid}/comm").read().rstrip("\\n"))
        pid = parent_of(pid)
    return names
def be(name): libc.prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
def touch(mark): libc.openat(-100, mark.encode(), 0)
"""


def marked(events: list[dict[str, Any]], mark: str) -> dict[str, Any]:
    [event] = [event for event in events if event["filename"] == mark]
    return event


def copy_of(program: str, directory: Path, name: str) -> Path:
    """Return a link of that name to a program: the name that an exec of it gives a process."""
    link = directory / name
    link.symlink_to(program)
    return link


def test_ancestors_are_those_of_proc(etracee: Etracee, work: Path) -> None:
    text = f"""{TELL}
touch("/main")
print(json.dumps(above()), flush=True)
if os.fork() == 0:
    touch("/child")
    print(json.dumps(above()), flush=True)
    os._exit(0)
os.wait()
"""
    run = etracee.run(PROFILE, *script(work, text))
    main, child = map(json.loads, run.stdout.splitlines())
    assert marked(run.events, "/main")["ancestors"] == main
    assert marked(run.events, "/child")["ancestors"] == child
    above, below = marked(run.events, "/main"), marked(run.events, "/child")
    assert below["parent"]["entity_id"] == above["entity_id"]


def test_those_that_have_ended_are_ancestors_still(etracee: Etracee, work: Path) -> None:
    """A process two ends of which are gone, and whose parent is another by now."""
    first, second = unique_comm(), unique_comm()
    inner = script(
        work,
        f"""{TELL}
reader, writer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.close(writer)
        os.read(reader, 1)
        touch("/orphan")
        os._exit(0)
    os._exit(0)
os.wait()
touch("/before")
""",
        "inner.py",
    )
    outer = copy_of("/bin/sh", work, first)
    middle = copy_of(sys.executable, work, second)
    command = " ".join([str(middle), *map(str, inner[1:])])
    run = etracee.run(PROFILE, outer, "-c", f"{command} & wait; exit 0")
    before, orphan = marked(run.events, "/before"), marked(run.events, "/orphan")
    assert before["ancestors"][0] == first
    assert orphan["ancestors"] == [second, second, *before["ancestors"]]
    assert orphan["ppid"] != before["pid"]


def test_processes_that_were_there_before_and_those_gone_before_they_are_read(
    etracee: Etracee, work: Path
) -> None:
    """The monitor stands still from before the workload's children start until they have ended."""
    text = f"""{TELL}
sys.stdin.readline()
for mark in ("/one", "/two"):
    if os.fork() == 0:
        be("renamed")
        if os.fork() == 0:
            touch(mark)
            print(json.dumps(above()), flush=True)
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
"""
    words = script(work, text)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as workload:
        running = etracee.start(PROFILE)
        running.await_attached(work)
        running.process.send_signal(signal.SIGSTOP)
        told, _ = workload.communicate(b"\n")
    running.process.send_signal(signal.SIGCONT)
    running.await_output(b'"/two"')
    run = running.end()
    for mark, line in zip(("/one", "/two"), told.splitlines(), strict=True):
        assert marked(run.events, mark)["ancestors"] == json.loads(line)


def test_rule_finds_a_server_behind_a_shell_that_has_ended(etracee: Etracee, work: Path) -> None:
    server = unique_comm()
    rules = work / "rules.yaml"
    rules.write_text(
        f"rules: [{{id: shell, title: Shell of a server, events: [execve], "
        f"condition: comm = sh and ancestors contains {server}}}]"
    )
    profile = {**PROFILE, "rules": [str(rules)]}
    inner = "sh -c '(/bin/true; /bin/true) & exit 0'; /bin/true"
    run = etracee.run(profile, copy_of("/bin/sh", work, server), "-c", inner)
    alerts = [item for item in run.items if item["type"] == "alert"]
    assert len(alerts) == 2
    other = etracee.run(profile, "/bin/sh", "-c", inner)
    assert [item for item in other.items if item["type"] == "alert"] == []


def test_filters_of_events_that_feed_the_table_hold(etracee: Etracee, work: Path) -> None:
    text = f"""{TELL}
for mark in ("/other", "/wanted"):
    be(mark[1:])
    if os.fork() == 0:
        touch(mark)
        os._exit(0)
    os.wait()
"""
    events = {**OPENAT, "fork": {"filter": "comm = wanted"}, "exit": {"filter": "comm = nobody"}}
    run = etracee.run({**PROFILE, "events": events}, *script(work, text))
    assert [event["comm"] for event in run.of("fork")] == ["wanted"]
    assert run.of("exit") == []
    other, wanted = (marked(run.of("openat"), mark)["ancestors"] for mark in ("/other", "/wanted"))
    assert other[1:] == wanted[1:]
    assert wanted[0] == "wanted"


def test_a_reload_may_begin_to_ask_for_ancestors(etracee: Etracee, work: Path) -> None:
    """Then /proc is looked through: who was there before has ancestors too."""
    file = work / "profile.yaml"
    calm = {"name": "test", "context": ["pid", "comm"], "events": OPENAT}
    file.write_text(json.dumps(calm))
    text = f"""{TELL}
print(json.dumps(above()), flush=True)
for line in sys.stdin: touch("/again")
"""
    words = script(work, text)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as workload:
        assert workload.stdin is not None
        assert workload.stdout is not None
        above = json.loads(workload.stdout.readline())
        running = etracee.start(str(file))
        running.await_attached(work)
        file.write_text(json.dumps({**calm, "context": ["pid", "ancestors"]}))
        running.process.send_signal(signal.SIGHUP)

        def is_told() -> bool:
            workload.stdin.write(b"\n")  # type: ignore[union-attr]
            workload.stdin.flush()  # type: ignore[union-attr]
            lines = running.read_output().splitlines()
            return any(b'"/again"' in line and b'"ancestors"' in line for line in lines)

        until(is_told, "an event with ancestors", running)
    run = running.end()
    told = [event for event in run.of("openat") if event["filename"] == "/again"]
    assert told[-1]["ancestors"] == above


def test_rules_keep_count_by_container_and_process(etracee: Etracee, work: Path) -> None:
    """Looked-up fields are keys of windows, and what the steps of a sequence have in common."""
    rules = work / "rules.yaml"
    step = {"events": ["openat"], "condition": "filename = /first"}
    rules.write_text(
        json.dumps(
            {
                "rules": [
                    {
                        "id": "twice",
                        "title": "Twice by one process",
                        "events": ["openat"],
                        "condition": "filename = /first",
                        "threshold": {"count": 2, "within": "1m", "by": ["entity_id"]},
                    },
                    {
                        "id": "child",
                        "title": "A process, then its child",
                        "sequence": {
                            "within": "1m",
                            "steps": [
                                {"as": "one", **step},
                                {
                                    "events": ["openat"],
                                    "condition": "filename = /second "
                                    "and parent.entity_id = $one.entity_id",
                                },
                            ],
                        },
                    },
                ]
            }
        )
    )
    text = f"""{TELL}
def run(*marks):
    if os.fork() == 0:
        for mark in marks: touch(mark)
        os._exit(0)
    os.wait()
run("/first"); run("/first", "/second"); run("/first", "/first")
touch("/first")
run("/second")
"""
    run = etracee.run({**PROFILE, "rules": [str(rules)]}, *script(work, text))
    alerts = [item for item in run.items if item["type"] == "alert"]
    assert [alert["rule"] for alert in alerts] == ["twice", "child"]
    twice, child = alerts
    assert twice["key"] == {"entity_id": twice["events"][0]["entity_id"]}
    first, second = child["events"]
    assert second["ppid"] == first["pid"]
