"""The bundled rules fire on real acts, and stay quiet on what only looks like them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from kernel_run import PATIENCE, Etracee, Event, Run, script

RULES = [
    option
    for name in ("sensitive-files", "privilege-escalation", "execution")
    for option in ("--rules", name)
]

ACTS = {
    "shadow-read": 'assert libc.open(b"/etc/shadow", os.O_RDONLY) >= 0',
    "setid-bit-set": 'open("tool", "w").close(); os.chmod("tool", 0o4755)',
    "ptrace-attach": """
reader, writer = os.pipe()
child = os.fork()
if child == 0: os.close(writer); os.read(reader, 1); os._exit(0)
assert libc.ptrace(16, child, None, None) == 0
os.waitpid(child, 0x40000000)
os.kill(child, 9)
os.waitpid(child, 0)
""",
    "run-from-world-writable": """
import tempfile
with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
    tool = place + "/tool"
    fd = os.open(tool, os.O_WRONLY | os.O_CREAT, 0o755)
    os.sendfile(fd, os.open("/bin/true", os.O_RDONLY), 0, os.stat("/bin/true").st_size)
    os.close(fd)
    os.waitpid(os.posix_spawn(tool, ["tool"], {}), 0)
""",
    "run-without-a-file": """
fd = os.memfd_create("hidden")
os.sendfile(fd, os.open("/bin/true", os.O_RDONLY), 0, os.stat("/bin/true").st_size)
if os.fork() == 0: os.execve(fd, ["hidden"], {})
os.wait()
""",
}
BESIDES = ("dropper", "made-executable-and-run")
"""What a program that was written just before it is run fires, too."""
NEAR = """
open("/etc/passwd").close()
libc.prctl(15, b"sshd", 0, 0, 0)
open("/etc/shadow").close()
open("tool", "w").close()
os.chmod("tool", 0o755)
try: os.chmod("/proc/1/nowhere", 0o4755)
except OSError: pass
libc.ptrace(0, 0, None, None) if os.fork() == 0 else os.wait()
os.waitpid(os.posix_spawn("/bin/true", ["/tmp/not/run"], {}), 0)
try: os.execve("/tmp/not-there", ["x"], {})
except OSError: pass
"""


def alerts_of(run: Run) -> list[Event]:
    """Return the alerts of the acts: the Python that plays them may itself lie under /tmp."""
    alerts = (item for item in run.items if item["type"] == "alert")
    return [alert for alert in alerts if alert["events"][0].get("filename") != sys.executable]


def test_each_act_fires_its_rule(etracee: Etracee, work: Path) -> None:
    acts = "\n".join(ACTS.values())
    command = script(work, f"os.chdir({str(work)!r})\n{acts}")
    run = etracee.run({"events": {"exit": {}}}, *command, options=RULES)
    alerts = alerts_of(run)
    assert {alert["rule"] for alert in alerts} == {*ACTS, *BESIDES}
    assert [alert["rule"] for alert in alerts if alert["rule"] in ACTS] == list(ACTS)
    assert {alert["events"][0]["type"] for alert in alerts}.isdisjoint({"alert", "lost", "exit"})
    assert {event["type"] for event in run.events} == {"exit"}, "rules bring no events of their own"


def test_near_misses_stay_quiet(etracee: Etracee, work: Path) -> None:
    command = script(work, f"os.chdir({str(work)!r})\n{NEAR}")
    run = etracee.run({"events": {"exit": {}}}, *command, options=RULES)
    assert alerts_of(run) == []


def test_a_shell_that_connects_fails_the_run(etracee: Etracee) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = etracee.run(
            "minimal",
            *("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"),
            options=["--rules", "command-and-control", "--fail-on-alert", "high"],
            code=5,
        )
    alerts = [item for item in run.items if item["type"] == "alert"]
    assert [(alert["rule"], alert["events"][0]["port"]) for alert in alerts] == [
        ("shell-connects", port)
    ]
    assert f"connected to 127.0.0.1 port {port}" in alerts[0]["message"]


def test_commands_of_all_rules(host: None) -> None:
    """Every trigger fires its rule on this kernel, and no near miss does."""
    done = subprocess.run(
        [sys.executable, "-m", "etracee", "test", "--live"],
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": ok\n") >= 25


def test_kernels_that_refuse_direct_reads(etracee: Etracee, tmp_path: Path) -> None:
    """With helpers in place of typed pointers, as before Linux 5.15, the same is seen."""
    launcher = tmp_path / "launcher.py"
    launcher.write_text(
        "import sys, etracee.kernel.probe as probe\n"
        "from etracee.cli import main\n"
        "probe.choose_attachment = lambda *_: probe.Attachment('raw_tracepoint', False)\n"
        "main(sys.argv[1:])\n"
    )
    output = tmp_path / "events"
    command = ["sh", "-c", "cat /etc/hostname; exit 7"]
    words = ["run", "-p", "minimal", "-o", str(output), "--", *command]
    done = subprocess.run(
        [sys.executable, launcher, *words], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 7, done.stderr.decode()
    events = [json.loads(line) for line in output.read_text().splitlines()]
    assert [event["argv"] for event in events if event["type"] == "execve"] == [
        command,
        ["cat", "/etc/hostname"],
    ]
    assert ("cat", "/etc/hostname") in {(e["comm"], e.get("filename")) for e in events}
    assert [event["exit_code"] for event in events if event["type"] == "exit"] == [0, 7]
