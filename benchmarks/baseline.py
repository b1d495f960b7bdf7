#!/usr/bin/env python3
"""The quiet baseline: everyday work under all bundled rules must raise no alert of level medium.

    sudo benchmarks/baseline.py [--minutes 20] [--keep DIRECTORY]

Installs, upgrades and removes a package that is made for it, and reinstalls one from the
distribution where its servers can be reached; builds C and Python; works with git; puts a web
server under load; logs in; does what administrators do all day. Round after round, until the time
is up. Exit code 1 when an alert of level medium or above was raised, 3 where etracee cannot run.
It works in a directory under /tmp and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ("informational", "low", "medium", "high", "critical")
PACKAGE = "etracee-baseline"
START_WITHIN = 180
"""Seconds within which etracee must have compiled and attached."""


def run(command: str, directory: Path, limit: float = 300) -> int:
    """Run a shell command, its output dropped; return its exit code."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=limit,
        check=False,
        env={**os.environ, "HOME": str(directory), "DEBIAN_FRONTEND": "noninteractive"},
    )
    return done.returncode


def install_local_package(work: Path) -> None:
    """Install, upgrade and purge a package with all that packages bring."""
    if not shutil.which("dpkg-deb"):
        return
    tree = work / "package"
    _write(tree / "etc/cron.d" / PACKAGE, "# nothing\n")
    _write(tree / "etc/profile.d" / f"{PACKAGE}.sh", "true\n")
    _write(tree / "lib/systemd/system" / f"{PACKAGE}.service", "[Service]\nExecStart=/bin/true\n")
    _write(tree / "etc/init.d" / PACKAGE, "#!/bin/sh\nexit 0\n", 0o755)
    _write(tree / "usr/bin" / PACKAGE, "#!/bin/sh\nexit 0\n", 0o755)
    _write(tree / "DEBIAN/conffiles", f"/etc/cron.d/{PACKAGE}\n/etc/init.d/{PACKAGE}\n")
    _write(tree / "DEBIAN/postinst", _POSTINST, 0o755)
    _write(tree / "DEBIAN/postrm", _POSTRM, 0o755)
    for version in ("1.0", "1.1"):
        _write(tree / "DEBIAN/control", _CONTROL.format(package=PACKAGE, version=version))
        run(f"dpkg-deb --build {tree} {work}/{version}.deb && dpkg -i {work}/{version}.deb", work)
    run(f"dpkg --purge {PACKAGE}", work)


_CONTROL = """Package: {package}
Version: {version}
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: made for a measurement
"""
_POSTINST = f"""#!/bin/sh
set -e
if [ "$1" = configure ]; then
    id {PACKAGE} >/dev/null 2>&1 || useradd --system --no-create-home {PACKAGE}
    mkdir -p /var/lib/{PACKAGE}
    chown {PACKAGE} /var/lib/{PACKAGE}
    chmod 2750 /var/lib/{PACKAGE}
    command -v update-rc.d >/dev/null && update-rc.d {PACKAGE} defaults || true
    command -v deb-systemd-helper >/dev/null && deb-systemd-helper enable {PACKAGE}.service || true
    ldconfig
fi
"""
_POSTRM = f"""#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /var/lib/{PACKAGE}
    command -v update-rc.d >/dev/null && update-rc.d {PACKAGE} remove || true
    command -v deb-systemd-helper >/dev/null && deb-systemd-helper purge {PACKAGE}.service || true
    userdel {PACKAGE} 2>/dev/null || true
fi
"""


def install_from_distribution(work: Path) -> None:
    """Reinstall a small package from the distribution's servers, once in a run."""
    stamp = work / "reinstalled"
    if stamp.exists():
        return
    stamp.touch()
    for tool, command in _REINSTALL.items():
        if shutil.which(tool):
            run(command, work, limit=600)


_REINSTALL = {
    "apt-get": "apt-get update; apt-get install --yes --reinstall adduser passwd cron bash",
    "dnf": "dnf makecache && dnf reinstall --assumeyes hostname shadow-utils cronie bash",
}


def build_c(work: Path) -> None:
    """Configure and compile a program of many files, run it, clean up."""
    tree = work / "build"
    tree.mkdir(exist_ok=True)
    for number in range(30):
        _write(tree / f"part{number}.c", f"int part{number}(void) {{ return {number}; }}\n")
    calls = " + ".join(f"part{number}()" for number in range(30))
    heads = "".join(f"int part{number}(void);\n" for number in range(30))
    _write(tree / "main.c", f"{heads}int main(void) {{ return ({calls}) != 435; }}\n")
    _write(tree / "Makefile", _MAKEFILE)
    _write(tree / "configure", _CONFIGURE, 0o755)
    run("sh configure && make -j2 && make check && make install DESTDIR=out && make clean", tree)


_MAKEFILE = """include config.mk
OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: program libparts.so
program: $(OBJECTS)
\t$(CC) -o $@ $^
libparts.so: $(OBJECTS)
\t$(CC) -shared -o $@ part1.o
check: all
\t./program
install: all
\tinstall -D -m 755 program $(DESTDIR)/usr/bin/program
\tinstall -D -m 644 libparts.so $(DESTDIR)/usr/lib/libparts.so
clean:
\trm -rf *.o program libparts.so out
"""
_CONFIGURE = """#!/bin/sh
uname -a; hostname; arch; id -u >/dev/null
echo 'int main(void) { return 0; }' >conftest.c
${CC-cc} -o conftest conftest.c && ./conftest
rm -f conftest conftest.c
cat >config.status <<end
echo 'CFLAGS := -O1 -fPIC' >config.mk
end
chmod +x config.status
/bin/sh ./config.status
"""


def build_python(work: Path) -> None:
    """Make a virtual environment, and install a package of our own into it."""
    tree = work / "python"
    _write(tree / "pyproject.toml", '[project]\nname = "baseline"\nversion = "1"\n')
    _write(tree / "baseline/__init__.py", "print('hello')\n")
    run("python3 -m venv --clear venv; python3 -m compileall -q baseline", tree)
    run("venv/bin/python -m pip install --no-index --no-build-isolation .", tree)
    run("PYTHONPATH=. venv/bin/python -c 'import baseline, ssl, sqlite3, ctypes'", tree)


def work_with_git(work: Path) -> None:
    """Commit, branch, merge, clone, collect garbage."""
    run(f"rm -rf repository clone; {_GIT}", work)


_GIT = """set -e
git init -q repository; cd repository
git config user.name Baseline; git config user.email baseline@localhost
for n in 1 2 3 4 5 6 7 8 9; do
    echo "$n" >"file $n"; git add .; git commit -q -m "commit $n"
done
git checkout -q -b other HEAD~3; echo other >other; git add .; git commit -q -m other
git merge -q -m merge "@{-1}"; git stash list; git rebase -q HEAD~1 || git rebase --abort
git tag -m tag v1; git log -p >/dev/null; git grep -q other; git fsck; git gc -q
cd ..; git clone -q repository clone; cd clone; git pull -q; git archive HEAD | tar t
"""


def serve_web_pages(work: Path) -> None:
    """Ask a web server of this host for some thousand pages."""
    pages = work / "pages"
    _write(pages / "index.html", "<p>hello</p>\n")
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=pages,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        port = server.stdout.readline().split("port ")[1].split(" ")[0]
        clients = [threading.Thread(target=_ask, args=(port,)) for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        run(f"curl -s -o page.html http://127.0.0.1:{port}/ && cat page.html", work)
    finally:
        server.terminate()
        server.wait()


def _ask(port: str) -> None:
    for _ in range(500):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            answer.read()


def log_in(work: Path) -> None:
    """Start login shells, and become somebody else."""
    run("bash -l -i -c 'id; umask; locale; history' </dev/null", work)
    run("su - root -c 'id; echo $PATH'; su nobody -s /bin/sh -c 'id; ls /'", work)
    run("runuser -u nobody -- id; timeout 5 script -qec 'login -f root' /dev/null", work)
    run(
        "run-parts --test /etc/cron.hourly; getent passwd root; passwd -S root; chage -l root", work
    )


def administer(work: Path) -> None:
    """Look at processes, files and disks, pack and unpack, copy and remove."""
    run("ps aux; df -h; mount; free; uptime; ip address; ss -ltn; top -b -n 1; dmesg", work)
    run("find /usr/share -name '*.txt' | head -500 | xargs wc -l", work)
    run("grep -r hello /usr/share/doc", work)
    run("tar czf share.tgz /usr/share/doc; mkdir -p x; tar xzf share.tgz -C x; rm -rf x", work)
    run("cp -a /etc/apt copy; chmod -R g+w copy; rsync -a copy/ copy2/; sed -i s/a/b/ copy/*", work)
    run("ldd /bin/ls; strace -c true; gdb --version; systemctl status; logrotate -d /etc/x", work)
    run(
        "mktemp; printf 'exit 0\\n' >s.sh; chmod +x s.sh; sh s.sh; base64 /bin/ls | base64 -d", work
    )


ACTIVITIES: tuple[Callable[[Path], None], ...] = (
    install_from_distribution,
    install_local_package,
    build_c,
    build_python,
    work_with_git,
    serve_web_pages,
    log_in,
    administer,
)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@contextlib.contextmanager
def watching(alerts: Path, log: Path) -> Iterator[None]:
    """Let etracee watch the host with all bundled rules."""
    words = ["run", "-p", "security", "--alerts-only", "-o", str(alerts)]
    with log.open("w") as stderr:
        tracer = subprocess.Popen(
            [sys.executable, "-m", "etracee", *words],
            cwd=ROOT,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        _await_start(tracer, log)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


def _await_start(tracer: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_WITHIN
    while "profile security" not in log.read_text():
        if tracer.poll() is not None or time.monotonic() > end:
            print(log.read_text(), file=sys.stderr)
            sys.exit(tracer.poll() or 3)
        time.sleep(0.2)


def report(alerts: Path, log: Path, rounds: int) -> int:
    """Print the alerts by rule; return how many are of level medium or above."""
    lines = [json.loads(line) for line in alerts.read_text().splitlines()]
    found = [line for line in lines if line["type"] == "alert"]
    lost = sum(line["count"] for line in lines if line["type"] == "lost")
    counts = collections.Counter((line["level"], line["rule"]) for line in found)
    print(f"{rounds} rounds, {len(found)} alerts, {lost} events lost")
    for (level, rule), count in sorted(counts.items(), key=lambda item: -LEVELS.index(item[0][0])):
        print(f"  {level:13} {rule:30} {count}")
    loud = [line for line in found if LEVELS.index(line["level"]) >= LEVELS.index("medium")]
    for line in loud[:20]:
        print(f"loud: {line['rule']}: {line['message']}")
    print("\n".join(log.read_text().splitlines()[-40:]), file=sys.stderr)
    return len(loud)


def main() -> int:
    """Work until the time is up; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--keep", type=Path, help="directory for alerts.json and etracee's stderr")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="baseline-") as directory:
        work = Path(directory) / "work"
        work.mkdir()
        kept = wanted.keep or Path(directory)
        kept.mkdir(parents=True, exist_ok=True)
        alerts, log = kept / "alerts.json", kept / "stderr.txt"
        rounds = 0
        with watching(alerts, log):
            end = time.monotonic() + wanted.minutes * 60
            while time.monotonic() < end:
                for activity in ACTIVITIES:
                    activity(work)
                rounds += 1
        return 1 if report(alerts, log, rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
