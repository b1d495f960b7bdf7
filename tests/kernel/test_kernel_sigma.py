"""Imported Sigma rules fire on what they describe, and not on what only looks like it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kernel_run import Etracee, script

pytest.importorskip("sigma", reason="pySigma needs Python 3.11")

AUDIT = "{product: linux, service: auditd}"


def category(name: str) -> str:
    return f"{{product: linux, category: {name}}}"


# Log source, detection, and two programs: one that the rule describes, one that comes near it.
RULES = {
    "image and command line": (
        category("process_creation"),
        "{Image|endswith: /tool, CommandLine|contains|all: ['-v', ' two words '], User: root}",
        "run('./tool', b'-v', b'of two words here')",
        "run('./tool', b'-v', b'of two', b'words'); run('/bin/true', b'-v two words x')",
    ),
    "image in a directory": (
        category("process_creation"),
        "{Image|startswith: WORK/}",
        "run('./tool')",
        "run('/bin/true', b'WORK/tool')\n"
        "try: os.execv('WORK/nothing', ['x'])\n"
        "except OSError: pass",
    ),
    "regular expression": (
        category("process_creation"),
        r"{CommandLine|re: 'tool\s+--x=[0-9]{3}$'}",
        "run('./tool', b'--x=123')",
        "run('./tool', b'--x=12'); run('./tool', b'--x=1234')",
    ),
    "wildcards": (
        category("process_creation"),
        "{CommandLine: './tool ?\\*-*-\u00e9'}",
        "run('./tool', 'a*-anything-\u00e9'.encode())",
        "run('./tool', 'ab-anything-\u00e9'.encode()); run('./tool', b'a*-anything-e')",
    ),
    "arguments by position": (
        AUDIT,
        "{type: EXECVE, a0|endswith: tool, a1: '-c', a3|startswith: x}",
        "run('./tool', b'-c', b'', b'xy')",
        "run('./tool', b'', b'-c', b'xy'); run('./tool', b'-c', b'x')",
    ),
    "file made": (
        category("file_event"),
        "{TargetFilename|startswith: WORK/new/, TargetFilename|endswith: .conf}",
        "open('new/a.conf', 'w').close()",
        "os.close(os.open('new/b.conf', os.O_RDONLY)); os.close(os.open('new/b.conf', os.O_RDWR))",
    ),
    "file named": (
        AUDIT,
        "{type: PATH, name: new/b.conf}",
        "open('new/b.conf').close()",
        "open('new/a.txt', 'w').close()",
    ),
    "file removed": (
        AUDIT,
        "{type: PATH, nametype: DELETE, name|endswith: /b.conf}",
        "os.unlink('new/b.conf')",
        "open('new/b.conf').close()\n"
        "os.rename('new/b.conf', 'b.conf'); os.rename('b.conf', 'new/b.conf')",
    ),
    "connection": (
        category("network_connection"),
        "{Initiated: 'true', DestinationPort: PORT, DestinationIp|cidr: 127.0.0.0/8}",
        "socket.create_connection(('127.0.0.1', PORT)).close()",
        "s = socket.socket(socket.AF_INET6)\ns.connect(('::1', PORT))",
    ),
    "call with an argument": (
        AUDIT,
        "{type: SYSCALL, syscall: kill, a1: '0', success: 'yes'}",
        "os.kill(os.getpid(), 0)",
        "signal.signal(15, signal.SIG_IGN); os.kill(os.getpid(), 15)",
    ),
}

HEAD = """
os.chdir("WORK")
def run(*words):
    if (child := os.fork()) == 0:
        os.execv(words[0], words)
    os.waitpid(child, 0)
"""


@contextmanager
def listening() -> Iterator[int]:
    """Listen on both loopback addresses, and return the port."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        yield server.getsockname()[1]


def test_imported_rules_fire(etracee: Etracee, work: Path) -> None:
    """Each act and each near miss is done under a name of its own, which the alerts then show."""
    shutil.copy("/bin/true", work / "tool")
    (work / "new").mkdir()
    (work / "new" / "b.conf").touch()
    parts = [HEAD]
    for number, (_, _, _, near) in enumerate(RULES.values()):
        parts.append(f"{called(f'near-{number}')}{near}\n")
    for number, (_, _, act, _) in enumerate(RULES.values()):
        parts.append(f"{called(f'act-{number}')}{act}\n")
    with listening() as port:
        rules = imported(work.parent, work, port)
        command = script(work.parent, _filled("".join(parts), work, port))
        run = etracee.run({"events": {"exit": {}}}, *command, options=["--rules", str(rules)])
    alerts = [item for item in run.items if item["type"] == "alert"]
    fired = Counter((alert["title"], alert["events"][0]["comm"]) for alert in alerts)
    for number, title in enumerate(RULES):
        assert fired[title, f"act-{number}"] == 1, title
        assert fired[title, f"near-{number}"] == 0, title


def called(name: str) -> str:
    """Return Python that gives its thread a name, which an execve still has when it is made."""
    return f"libc.prctl(15, {name.encode()!r}, 0, 0, 0)\n"


def imported(directory: Path, work: Path, port: int) -> Path:
    """Return the rule file that the command makes of all the Sigma rules."""
    sigma, rules = directory / "sigma.yml", directory / "rules.yaml"
    texts = [
        f"title: {title}\nid: 6a3c7f5e-0000-4000-8000-{number:012}\nlogsource: {source}\n"
        f"detection:\n  sample: {_filled(detection, work, port)}\n  condition: sample\n"
        for number, (title, (source, detection, _, _)) in enumerate(RULES.items())
    ]
    sigma.write_text("---\n".join(texts))
    words = [sys.executable, "-m", "etracee", "rules", "import-sigma", sigma, "-o", rules]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stderr == f"1 files, {len(RULES)} rules imported, 0 not\n"
    return rules


def _filled(text: str, work: Path, port: int) -> str:
    return text.replace("WORK", str(work)).replace("PORT", str(port))
