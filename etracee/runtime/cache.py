"""Keep compiled programs, and find again what need not be compiled anew.

An entry is found by all that is known before anything is read: what was asked for, etracee's own
files, the kernel and what it lets a program do, the Python. It tells which files it was made from
and which libraries made it, and counts only while those are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from etracee.files import UnusableError, open_directory, read_file, replace_file
from etracee.inputs import Inputs
from etracee.kernel.identity import identify_kernel
from etracee.kernel.probe import find_tracefs, takes_functions, typed_loads_error
from etracee.problems import tell
from etracee.resources import bundled
from etracee.runtime.image import Image, ImageError, seal, unseal
from etracee.runtime.order import Order

_DEFAULT = "/var/cache/etracee"
MOST_BYTES = 64 << 20
"""Bytes of all entries together; beyond them, the ones go that were not used for longest."""
_SUFFIX = ".image"

Stamp = tuple[int, int, int]
"""Size, and the times of the last change of content and of anything, in ns: stat(2)."""


class _Entry(msgspec.Struct, frozen=True):
    key: bytes
    inputs: Inputs
    libraries: dict[str, Stamp]
    image: Image


def cache_directory() -> str:
    """Return where entries lie: where systemd says (systemd.exec(5)), else under /var/cache."""
    return os.environ.get("CACHE_DIRECTORY", "").partition(":")[0] or _DEFAULT


class Cache:
    """What is kept for an order."""

    def __init__(self, order: Order) -> None:
        self._key = _identify(order)
        self._name = f"{self._key.hex()[:32]}{_SUFFIX}" if self._key else ""

    def find(self) -> Image | None:
        """Return the program, if it was compiled before and would become the same.

        Says so when there is an entry that cannot be one of ours.
        """
        if not self._key:
            return None
        try:
            with _open_directory() as directory:
                data = read_file(directory, self._name, {os.geteuid()}, MOST_BYTES)
                entry = _decode(data, self._key)
                if not _is_current(entry):
                    return None
                with contextlib.suppress(OSError):
                    os.utime(self._name, dir_fd=directory)
                return entry.image
        except (FileNotFoundError, UnusableError):
            return None  # keep() will tell what is wrong with the directory
        except OSError as error:
            self.refuse(str(error.strerror))
        except ImageError as error:
            self.refuse(error.reason)
        return None

    def refuse(self, reason: str) -> None:
        """Say that what was kept is not used."""
        where = f"{cache_directory()}/{self._name}"
        tell(f"etracee: note: {where} is refused, and the program compiled anew: {reason}")

    def keep(self, image: Image, inputs: Inputs) -> None:
        """Keep what was compiled from `inputs`; says so when that cannot be."""
        reason: str | None = "the kernel does not tell its build"
        try:
            if self._key:
                entry = _Entry(self._key, inputs, _stamp_libraries(), image)
                with _open_directory(is_made=True) as directory:
                    data = seal(msgspec.msgpack.encode(entry))
                    replace_file(directory, self._name, data, 0o600)
                    _evict(directory)
                return
        except OSError as error:
            reason = error.strerror
        except UnicodeEncodeError:
            reason = "the name of a file is no UTF-8"
        tell(f"etracee: note: the compiled program is not kept in {cache_directory()}: {reason}")


def clear_cache() -> int:
    """Remove all that is kept, and return how many programs it was; OSError when that fails."""
    try:
        with _open_directory() as directory:
            names = [entry.name for entry in _list(directory)]
            for name in names:
                os.unlink(name, dir_fd=directory)
            return sum(name.endswith(_SUFFIX) for name in names)
    except FileNotFoundError:
        return 0


def measure_cache() -> tuple[int, str | None]:
    """Return the bytes of all that is kept, and what keeps the directory from being used, if so."""
    try:
        with _open_directory() as directory:
            statuses = (entry.stat(follow_symlinks=False) for entry in _list(directory))
            return sum(status.st_size for status in statuses), None
    except FileNotFoundError:
        return 0, None
    except OSError as error:
        return 0, f"{cache_directory()}: {error.strerror}"


def _identify(order: Order) -> bytes | None:
    """Return what stands for all that is known before a file is read; None if not enough is."""
    kernel = identify_kernel()
    if kernel is None:
        return None
    loads = [typed_loads_error(kind) is None for kind in ("tracepoint", "raw_tracepoint")]
    loads.append(takes_functions())
    here = os.path.realpath(".")
    known = (order, kernel, loads, find_tracefs(), sys.version, here, _stamp_package())
    return hashlib.sha256(repr(known).encode("utf-8", "surrogateescape")).digest()


def _stamp_package() -> list[tuple[str, Stamp]]:
    """Return what tells one state of etracee's own files from another."""
    roots = (Path(__file__).parents[1], bundled("templates"))
    return sorted(stamp for root in roots for stamp in _stamp_tree(str(root)))


def _stamp_tree(root: str) -> Iterator[tuple[str, Stamp]]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _stamp_tree(entry.path)
            else:
                yield entry.path, _stamp_of(entry.stat())


def _stamp_of(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _stamp_libraries() -> dict[str, Stamp]:
    """Return the files of what this process has imported and linked, BCC and LLVM among them."""
    modules = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    tops = {path for path in modules if path and path.endswith("__init__.py")}
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = {line.split(maxsplit=5)[5] for line in lines if ".so" in line}
    stamps = {}
    for path in tops | mapped:
        with contextlib.suppress(OSError):
            stamps[path] = _stamp_of(os.stat(path))  # noqa: PTH116 - quicker, and there are many
    return stamps


def _is_current(entry: _Entry) -> bool:
    """Say whether the entry's files and libraries are as they were."""
    try:
        for path, stamp in entry.libraries.items():
            if _stamp_of(os.stat(path)) != stamp:  # noqa: PTH116
                return False
    except OSError:
        return False
    return entry.inputs.are_same()


def _decode(data: bytes, key: bytes) -> _Entry:
    try:
        entry = msgspec.msgpack.decode(unseal(data), type=_Entry)
    except msgspec.DecodeError as error:
        raise ImageError(str(error)) from None
    if entry.key != key:
        raise ImageError("it is another program's")
    return entry


def _open_directory(*, is_made: bool = False) -> contextlib.AbstractContextManager[int]:
    """Open the directory, made if need be; UnusableError where another user can write to it."""
    return open_directory(cache_directory(), {os.geteuid()}, make=0o700 if is_made else None)


def _list(directory: int) -> list[os.DirEntry[str]]:
    """Return what is in the directory, those that a killed process left half written too."""
    with os.scandir(directory) as entries:
        return [entry for entry in entries if entry.name.endswith((_SUFFIX, ".new"))]


def _evict(directory: int) -> None:
    """Remove what was not used for longest, until the rest is small enough."""
    found = {entry.name: entry.stat(follow_symlinks=False) for entry in _list(directory)}
    total = sum(status.st_size for status in found.values())
    for name in sorted(found, key=lambda name: found[name].st_mtime_ns):
        if total <= MOST_BYTES:
            return
        os.unlink(name, dir_fd=directory)
        total -= found[name].st_size
