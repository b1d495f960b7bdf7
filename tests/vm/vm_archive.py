"""Debian's archive: packages of any architecture, fetched without being installed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from vm_image import CACHE


class Archive:
    """Debian's packages for one architecture, named as dpkg does: amd64, arm64.

    Lists of another architecture than the machine's are kept apart from the machine's own.
    """

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture

    def find_dependency(self, package: str, name: str) -> str:
        """Return the first package that `package` depends on and whose name begins with `name`."""
        answer = output_of("apt-cache", *self._options, "show", "--no-all-versions", package)
        found = re.search(rf"^Depends:.*?\b({name}[^\s,]*)", answer, re.MULTILINE)
        if found is None:
            raise LookupError(f"{package} depends on no {name}:\n{answer}")
        return found[1]

    def unpack(self, package: str, place: Path) -> None:
        """Put the files of a package below `place`."""
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            output_of("apt-get", *self._options, "download", package, cwd=directory)
            self._extract(Path(directory).glob("*.deb"), place)

    def unpack_with_needs(self, packages: Iterable[str], place: Path) -> None:
        """Put the files of packages and of all that they depend on below `place`."""
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            (Path(directory) / "partial").mkdir()
            words = ["-o", f"Dir::Cache::archives={directory}", "--no-install-recommends"]
            words += ["install", "--download-only", "-y", *packages]
            output_of("apt-get", *self._options, *words)
            self._extract(Path(directory).glob("*.deb"), place)

    def _extract(self, archives: Iterable[Path], place: Path) -> None:
        place.mkdir(exist_ok=True)
        # dpkg-deb -x would put directories in the place of the links /bin and /lib.
        keep = ["tar", "-x", "--keep-directory-symlink", "-C", place]
        for archive in archives:
            with subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
            ) as unpacker:
                subprocess.run(keep, stdin=unpacker.stdout, check=True, capture_output=True)

    @cached_property
    def _options(self) -> list[str]:
        if self.architecture == output_of("dpkg", "--print-architecture").strip():
            return []
        place = CACHE / f"apt-{self.architecture}"
        for name in ("lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True, exist_ok=True)
        (place / "status").touch()
        settings = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",
            "Dir::State::lists": place / "lists",
            "Dir::State::status": place / "status",
            "Dir::Cache": place / "cache",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        output_of("apt-get", *options, "update")
        return options


def output_of(*command: str | Path, cwd: str | None = None) -> str:
    """Run a command and return its stdout; what it says on stderr goes into the error."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        words = " ".join(map(str, command))
        raise RuntimeError(f"{words}\nended with {done.returncode}:\n{done.stderr}")
    return done.stdout
