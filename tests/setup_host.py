"""A host on which setup.sh runs, with stand-ins for what would change this one."""

import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
STAND_INS = Path(__file__).resolve().parent / "unit" / "setup"
COMMANDS = (
    "basename cat chmod cp dirname env flock grep ln mkdir mv readlink rm rmdir sed sh sha256sum "
    "sort tail tr"
)
DEBIAN = 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
OPENEULER = 'ID="openEuler"\nPRETTY_NAME="openEuler 25.09"\n'
MOUNTS = "tracefs /sys/kernel/tracing tracefs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"


class Host:
    """A checkout, a host's directories and a PATH, all under one directory."""

    def __init__(self, place: Path, os_release: str, *managers: str) -> None:
        self.root = place / "host"
        self.state = place / "state"
        self.bin = place / "bin"
        self.checkout = place / "a checkout"
        self.venv = self.checkout / ".venv"
        self.link = self.root / "usr/local/bin/etracee"
        for directory in ("etc", "usr/bin", "proc/self", "sys/kernel/btf", "usr/local/bin"):
            (self.root / directory).mkdir(parents=True)
        for made in (self.state, self.bin, self.checkout):
            made.mkdir()
        (self.root / "etc/os-release").write_text(os_release)
        (self.root / "proc/self/mounts").write_text(MOUNTS)
        (self.root / "sys/kernel/btf/vmlinux").touch()
        for name in ("setup.sh", "pyproject.toml"):
            shutil.copy(CHECKOUT / name, self.checkout / name)
        self.stand_in(self.root / "usr/bin/python3", STAND_INS / "python3")
        for manager in managers:
            self.stand_in(self.bin / manager, STAND_INS / "package-manager")
        for name in COMMANDS.split():
            real = shutil.which(name)
            assert real, name
            (self.bin / name).symlink_to(real)
        self.command("mount", 'echo "mount $*" >>"$STATE/log"')
        self.become(0)

    def stand_in(self, path: Path, source: Path) -> None:
        shutil.copy(source, path)
        path.chmod(0o755)

    def command(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def become(self, uid: int) -> None:
        self.command("id", f"echo {uid}")

    def set(self, *names: str) -> None:
        for name in names:
            (self.state / name).touch()

    def log(self) -> str:
        path = self.state / "log"
        return path.read_text() if path.exists() else ""

    def forget_log(self) -> None:
        (self.state / "log").unlink(missing_ok=True)

    def setup(
        self, *arguments: str, script: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        bash = shutil.which("bash")
        assert bash
        return subprocess.run(
            [bash, str(script or self.checkout / "setup.sh"), *arguments],
            env={
                "PATH": str(self.bin),
                "STATE": str(self.state),
                "ETRACEE_HOST_ROOT": str(self.root),
                "LC_ALL": "C",
            },
            cwd=self.state,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def install(self) -> None:
        self.set("has-bcc")
        done = self.setup()
        assert done.returncode == 0, done.stderr
        self.forget_log()
