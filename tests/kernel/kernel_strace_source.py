"""strace's own test programs: its source, as the distribution has it, fetched and built.

The source is that of the strace that is installed. It lies in `.strace/` of the checkout, where it
is fetched, configured and built but once; another run of the tests waits for its end.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kernel_run import CHECKOUT

_CACHE = CHECKOUT / ".strace"
_TOOLS = ("strace", "apt-get", "dpkg-query", "cc", "make", "awk", "tar")
_FETCH_SECONDS = 60
_BUILD_SECONDS = 300


class SourceError(Exception):
    """Why there are no programs: what is missing, or what a command has said."""


def build_programs(names: Sequence[str]) -> Path:
    """Return the directory that holds these programs; SourceError where it can't be had."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise SourceError(f"there is no {', no '.join(missing)}")
    _CACHE.mkdir(exist_ok=True)
    with _locked():
        source = _fetch()
        if not (source / "tests" / "Makefile").exists():
            options = ("--quiet", "--enable-mpers=no", "--disable-dependency-tracking")
            _run(source, _BUILD_SECONDS, "./configure", *options)
        words = ("make", "-s", "-C", "tests", "CFLAGS=-O1 -w")
        _run(source, _BUILD_SECONDS, *words, "scno.h")
        _run(source, _BUILD_SECONDS, *words, *names)
    return source / "tests"


@contextmanager
def _locked() -> Iterator[None]:
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch() -> Path:
    """Return the directory of the source."""
    version = _run(_CACHE, 10, "dpkg-query", "-W", "-f", "${source:Version}", "strace")
    upstream = re.sub(r"^\d+:|-[^-]*$", "", version)
    source = _CACHE / f"strace-{upstream}"
    if not source.exists():
        options = _options_of_apt()
        _run(_CACHE, _FETCH_SECONDS, "apt-get", *options, "update")
        words = ("source", "--download-only", f"strace={version}")
        _run(_CACHE, _FETCH_SECONDS, "apt-get", *options, *words)
        archives = list(_CACHE.glob(f"strace_{upstream}.orig.tar.*[!c]"))
        if len(archives) != 1:
            raise SourceError(f"apt-get has left no source of strace {upstream}")
        unpacked = _CACHE / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir()
        _run(unpacked, _FETCH_SECONDS, "tar", "-xf", str(archives[0]), "--no-same-owner")
        (unpacked / source.name).rename(source)
    return source


def _options_of_apt() -> list[str]:
    """Return options by which apt-get reads lists of sources only, from where it has packages."""
    parts = _CACHE / "sources.list.d"
    parts.mkdir(exist_ok=True)
    for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        if path.is_file() and path.suffix in (".list", ".sources"):
            (parts / path.name).write_text(sources_of(path.read_text()))
    lists = _CACHE / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": parts,
        "Dir::State::Lists": lists,
        "Dir::Cache": _CACHE / "cache",
        "APT::Sandbox::User": "root",
    }
    return [f"-o{name}={value}" for name, value in settings.items()]


def sources_of(text: str) -> str:
    """Return a list of packages' origins as one of their sources': sources.list(5)."""
    text = re.sub(r"^(\s*)deb(?=\s)", r"\1deb-src", text, flags=re.MULTILINE)
    return re.sub(r"^Types:.*", "Types: deb-src", text, flags=re.MULTILINE | re.IGNORECASE)


def _run(directory: Path, seconds: float, *words: str) -> str:
    """Return what a command prints."""
    try:
        done = subprocess.run(
            words,
            cwd=directory,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{words[0]} took more than {seconds:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise SourceError(f"{' '.join(words)}: {error.stderr.strip()[-500:]}") from error
    return done.stdout
