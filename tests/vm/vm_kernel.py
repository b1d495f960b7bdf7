"""Debian's kernels, taken from its archive without being installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vm_image import CACHE, find_tool

GUEST = Path(__file__).resolve().parent / "guest"
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev"),
    *("virtio_pci", "virtio_blk", "virtio_console"),
)
"""The drivers of disks and ports, each after those that it needs."""


@dataclass(frozen=True)
class Kernel:
    """A kernel and the initial file system that finds the disks."""

    release: str
    image: Path
    initramfs: Path


def debian_kernel(package: str = "linux-image-cloud-amd64") -> Kernel:
    """Return the kernel that Debian's `package` depends on; it is fetched once."""
    real = _real_package(package)
    place = CACHE / real
    if not place.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            unpacked = Path(directory) / "unpacked"
            _unpack(real, unpacked)
            unpacked.rename(place)
    release = real.removeprefix("linux-image-")
    initramfs = CACHE / f"{real}.cpio"
    _write_initramfs(place / "lib/modules" / release, initramfs)
    return Kernel(release, place / "boot" / f"vmlinuz-{release}", initramfs)


def _real_package(package: str) -> str:
    """Return the package with the kernel: the one that Debian names is empty and depends on it."""
    answer = _output("apt-cache", "show", "--no-all-versions", package)
    found = re.search(r"^Depends:.*?(linux-image-[^\s,]+)", answer, re.MULTILINE)
    if found is None:
        raise LookupError(f"{package} depends on no kernel:\n{answer}")
    return found[1]


def _unpack(package: str, place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        _output("apt-get", "download", package, cwd=directory)
        (archive,) = Path(directory).glob("*.deb")
        _output("dpkg-deb", "-x", archive, place)


def _write_initramfs(modules: Path, target: Path) -> None:
    """Write a cpio archive of busybox, the init program and the disks' drivers."""
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        root = Path(directory)
        for name in ("bin", "dev", "modules", "root"):
            (root / name).mkdir()
        shutil.copy(GUEST / "init", root / "init")
        (root / "init").chmod(0o755)
        shutil.copy(find_tool("busybox"), root / "bin/busybox")
        present = [path for name in _MODULES for path in modules.rglob(f"{name}.ko")]
        for path in present:
            shutil.copy(path, root / "modules")
        order = "".join(f"{path.name}\n" for path in present)
        (root / "modules/order").write_text(order)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        archive = subprocess.run(
            [find_tool("busybox"), "cpio", "-o", "-H", "newc"],
            input=names.encode(),
            cwd=root,
            check=True,
            capture_output=True,
        )
        target.write_bytes(archive.stdout)


def _output(*command: str | Path, cwd: str | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout
