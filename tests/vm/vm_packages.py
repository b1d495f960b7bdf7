"""The files of Debian packages installed on the host, with all that they depend on."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """An installed package; `name` has the architecture, as in `libc6:amd64`.

    `needs` are groups of names without one, of each of which the first that is installed counts.
    """

    name: str
    version: str
    needs: tuple[tuple[str, ...], ...]


_FORMAT = (
    "${db:Status-Abbrev}\t${Essential}\t${binary:Package}\t${Version}\t"
    "${Provides}\t${Pre-Depends}, ${Depends}\n"
)


class Installed:
    """What dpkg knows of the host."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Package]] = defaultdict(list)
        self.essential: list[str] = []
        for line in _output("dpkg-query", "-W", "-f", _FORMAT).splitlines():
            status, essential, name, version, provides, needs = line.split("\t")
            if not status.startswith("ii"):
                continue
            package = Package(name, version, tuple(_groups(needs)))
            plain = name.partition(":")[0]
            for offered in (plain, *(word for group in _groups(provides) for word in group)):
                self._by_name[offered].append(package)
            if essential == "yes":
                self.essential.append(plain)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def closure(self, names: Iterable[str]) -> list[Package]:
        """Return these packages and all that they depend on, sorted by name."""
        found: dict[str, Package] = {}
        pending = [package for name in names for package in self._by_name[name]]
        while pending:
            package = pending.pop()
            if package.name in found:
                continue
            found[package.name] = package
            for group in package.needs:
                pending += next((self._by_name[name] for name in group if name in self), ())
        return sorted(found.values(), key=lambda package: package.name)


def list_files(packages: Iterable[Package]) -> list[str]:
    """Return the paths that the packages own, each once."""
    names = [package.name for package in packages]
    lines = _output("dpkg-query", "-L", *names).splitlines()
    return sorted({line for line in lines if line.startswith("/") and line != "/."})


def _groups(relation: str) -> Iterator[tuple[str, ...]]:
    """Yield `a | b (>= 1), c:any` as ("a", "b"), ("c",): dpkg has seen to the versions."""
    for group in relation.split(","):
        names = [re.split(r"[\s(:\[]", word.strip())[0] for word in group.split("|")]
        if any(names):
            yield tuple(name for name in names if name)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
