"""Sinks beside the main output: they get the same, and cannot end or delay the run."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from kernel_run import PATIENCE, Etracee, Event, parse_lines, until

RULES = """
rules:
  - id: forbidden-opened
    title: A forbidden file was opened
    level: high
    events: [openat]
    condition: filename endswith forbidden
    output: "{comm} opened {filename}"
"""


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the address of a web server, and the bodies that were posted there."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", bodies
    server.shutdown()
    server.server_close()
    thread.join(PATIENCE)


def profile_and_rules(work: Path) -> tuple[dict[str, Any], str]:
    """Return a profile of the opens below `work`, and the file of a rule."""
    rules = work.parent / "rules.yaml"
    rules.write_text(RULES)
    return {"events": {"openat": {"filter": f"filename startswith {work}/"}}}, str(rules)


def alerts_in(items: list[Event]) -> list[str]:
    return [item["message"] for item in items if item["type"] == "alert"]


def test_sinks_get_what_the_output_gets(
    etracee: Etracee, work: Path, received: tuple[str, list[dict[str, Any]]]
) -> None:
    """While rules fire and the file is moved away, in the middle of it."""
    url, bodies = received
    profile, rules = profile_and_rules(work)
    log, moved = work.parent / "log", work.parent / "log.1"
    sinks = ["--sink", f"json:{log}", "--sink", f"webhook:{url}"]
    running = etracee.start(profile, options=["--rules", rules, *sinks])
    running.await_attached(work)
    (work / "forbidden").touch()
    until(lambda: b'"alert"' in log.read_bytes(), "an alert in the file", running)
    log.rename(moved)
    running.process.send_signal(signal.SIGHUP)
    until(log.exists, "a new file", running)
    (work / "also-forbidden").touch()
    running.await_output(b"also-forbidden")
    run = running.end()
    assert run.code == 0, run.stderr
    before, after = parse_lines(moved.read_bytes()), parse_lines(log.read_bytes())
    assert before + after == run.items
    opened = [f"opened {work}/{name}" for name in ("forbidden", "also-forbidden")]
    assert [message.partition(" ")[2] for message in alerts_in(after)] == opened[1:]
    posted = [item for body in bodies for item in body["items"]]
    assert [message.partition(" ")[2] for message in alerts_in(posted)] == opened
    assert {item["type"] for item in posted} == {"alert"}
    assert "dropped" not in run.stderr


def test_sinks_that_fail_end_nothing(etracee: Etracee, work: Path) -> None:
    """A server that hangs and a disk that is full: the command runs on, and the end tells."""
    profile, rules = profile_and_rules(work)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        sinks = ["--sink", f"webhook:{url}/secret-path", "--sink", "json:/dev/full"]
        run = etracee.run(
            profile,
            *("sh", "-c", f"cd {work}; : >{work}/forbidden; : >{work}/other; exit 7"),
            options=["--rules", rules, *sinks],
            code=7,
        )
    assert [Path(event["filename"]).name for event in run.events] == ["forbidden", "other"]
    assert len(alerts_in(run.items)) == 1
    assert "json:/dev/full cannot be written: No space left on device; trying again" in run.stderr
    assert f"dropped by webhook:{url}: 1 alert\n" in run.stderr
    assert "dropped by json:/dev/full: 2 events, 1 alert\n" in run.stderr
    assert "secret-path" not in run.stderr


def test_a_sink_that_is_wrong_is_said_before_anything_runs(etracee: Etracee, work: Path) -> None:
    run = etracee.run("minimal", "touch", work / "ran", options=["--sink", "jsn:x"], code=2)
    assert "did you mean 'json'?" in run.stderr
    run = etracee.run(
        *("minimal", "touch", work / "ran"),
        options=["--sink", f"journald:{work}/none"],
        code=3,
    )
    assert f"no journal listens on {work}/none" in run.stderr
    assert not (work / "ran").exists()
