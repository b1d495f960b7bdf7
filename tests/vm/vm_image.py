"""Disk images made from the host's own files: its packages and the virtual environment."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from vm_packages import Installed, Package, list_files

CACHE = Path(__file__).resolve().parents[2] / ".vm"
"""Everything that is kept from one run to the next; may be removed at any time."""

_TOOLS = (
    *("python3-bpfcc", "strace", "stress-ng", "bpftrace", "gcc", "gcc-multilib", "libc6-dev"),
    *("git", "procps", "mount", "busybox-static"),
)
"""Packages that the kernel tests use beside the essential ones, where they are installed."""
_UNUSED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")
_UNOWNED = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/localtime"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/usr/bin/cc", "/usr/bin/which", "/usr/bin/awk"),
)
"""What the packages' scripts have made, and no package owns."""
_MOUNT_POINTS = ("dev", "proc", "sys", "tmp", "run", "root", "mnt", "var/tmp", "results")


class Tree:
    """A directory that becomes a disk; files are hard links to the host's where that works."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in Path("/").iterdir():
            if path.is_symlink():
                (root / path.name).symlink_to(path.readlink())
        for name in _MOUNT_POINTS:
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("tmp", "var/tmp"):
            (root / name).chmod(0o1777)

    def add(self, path: str | Path) -> None:
        """Take over one file, link or directory, without what is in it."""
        path = Path(path)
        if not os.path.lexists(path):
            return
        place = self.place_of(path)
        if os.path.lexists(place):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            place.symlink_to(path.readlink())
        elif path.is_dir():
            place.mkdir()
            shutil.copystat(path, place)
        elif path.is_file():
            link_or_copy(path, place)

    def add_all(self, directory: Path) -> None:
        """Take over a directory with all that is in it."""
        self.add(directory)
        for parent, directories, files in os.walk(directory):
            for name in (*directories, *files):
                self.add(Path(parent, name))

    def place_of(self, path: Path) -> Path:
        """Return where a path of the host lies in the tree: no link leads out of it."""
        return self.root / (path.parent.resolve() / path.name).relative_to("/")


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the file is on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def make_disk(tree: Path, image: Path, spare_mib: int) -> None:
    """Write an ext4 image with the files of `tree` and room for `spare_mib` MiB more."""
    used = sum(_size(Path(parent, name)) for parent, _, names in os.walk(tree) for name in names)
    unfinished = image.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    size = f"{used * 11 // 10 // 2**20 + spare_mib}M"
    options = ["-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-d", tree]
    _run("mke2fs", *options, unfinished, size)
    unfinished.replace(image)


def _size(path: Path) -> int:
    return -(-path.lstat().st_size // 4096) * 4096


def system_disk() -> Path:
    """Return the image of the machine's packages and the virtual environment, made if need be."""
    installed = Installed()
    tools = [name for name in _TOOLS if name in installed]
    packages = installed.closure([*installed.essential, *tools])
    image = CACHE / f"system-{_digest(packages)}.img"
    if not image.exists():
        CACHE.mkdir(exist_ok=True)
        for old in CACHE.glob("system-*"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=CACHE) as place:
            tree = Tree(Path(place))
            _add_system(tree, packages)
            make_disk(tree.root, image, spare_mib=768)
    return image


def _add_system(tree: Tree, packages: list[Package]) -> None:
    for path in list_files(packages):
        if not path.startswith(_UNUSED):
            tree.add(path)
            tree.add(importlib.util.cache_from_source(path) if path.endswith(".py") else path)
    for path in _UNOWNED:
        tree.add_all(Path(path))
    tree.add_all(Path(sys.prefix))


def _digest(packages: Iterable[Package]) -> str:
    """Return a name for what the image is made from."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in packages:
        digest.update(f"{package.name} {package.version}\n".encode())
    for parent, _, names in sorted(os.walk(sys.prefix)):
        for path in sorted(Path(parent, name) for name in names if not name.endswith(".pyc")):
            status = path.lstat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
