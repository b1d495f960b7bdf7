"""Debian's kernels, taken from its archive without being installed."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vm_archive import Archive
from vm_image import CACHE

GUEST = Path(__file__).resolve().parent / "guest"
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev"),
    *("virtio_pci", "virtio_blk", "virtio_console"),
)
"""The drivers of disks and ports, each after those that it needs."""


@dataclass(frozen=True)
class Machine:
    """How QEMU is called for an architecture, the kernel's console, and what else it is told."""

    emulator: tuple[str, ...]
    console: str
    parameters: str = ""


_MACHINES = {
    # The clock that Linux prefers here is read from a device, for each timestamp; and where
    # the host is busy, its test of the timer's interrupt finds that it does not work.
    "amd64": Machine(
        ("qemu-system-x86_64",), "ttyS0", "clocksource=tsc tsc=reliable no_timer_check"
    ),
    "arm64": Machine(("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"), "ttyAMA0"),
}


@dataclass(frozen=True)
class Kernel:
    """A kernel, the initial file system that finds the disks, and the machine that both are for."""

    architecture: str
    release: str
    image: Path
    initramfs: Path
    machine: Machine

    @property
    def btf(self) -> Path:
        """Return a file with the kernel's BTF, where the image is not compressed (arm64)."""
        path = self.image.with_name("btf")
        if not path.exists():
            path.write_bytes(_find_btf(self.image.read_bytes()))
        return path


def debian_kernel(architecture: str = "amd64") -> Kernel:
    """Return Debian's kernel for clouds, which has what an emulator offers; it is fetched once."""
    CACHE.mkdir(exist_ok=True)
    archive = Archive(architecture)
    name = archive.find_dependency(f"linux-image-cloud-{architecture}", "linux-image-")
    place, release = CACHE / name, name.removeprefix("linux-image-")
    if not place.exists():
        for old in CACHE.glob(f"linux-image-*-cloud-{architecture}"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            unpacked = Path(directory) / "unpacked"
            archive.unpack(name, unpacked)
            archive.unpack("busybox-static", unpacked)
            unpacked.rename(place)
    initramfs = CACHE / f"{architecture}.cpio"
    _write_initramfs(place / "bin/busybox", place / "lib/modules" / release, initramfs)
    image = place / "boot" / f"vmlinuz-{release}"
    return Kernel(architecture, release, image, initramfs, _MACHINES[architecture])


def _write_initramfs(busybox: Path, modules: Path, target: Path) -> None:
    """Write a cpio archive of busybox, the init program and the drivers."""
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        root = Path(directory)
        for name in ("bin", "dev", "modules", "root"):
            (root / name).mkdir()
        shutil.copy(GUEST / "init", root / "init")
        (root / "init").chmod(0o755)
        shutil.copy(busybox, root / "bin/busybox")
        present = [path for name in _MODULES for path in modules.rglob(f"{name}.ko")]
        for path in present:
            shutil.copy(path, root / "modules")
        (root / "modules/order").write_text("".join(f"{path.name}\n" for path in present))
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        archive = subprocess.run(
            ["busybox", "cpio", "-o", "-H", "newc"],
            input=names.encode(),
            cwd=root,
            check=True,
            capture_output=True,
        )
        target.write_bytes(archive.stdout)


_BTF = struct.Struct("<HBBIIIII")
"""`struct btf_header` of include/uapi/linux/btf.h: magic, version, flags, length of the header, and
offset and length of the types and of the strings, counted from the header's end."""


def _find_btf(image: bytes) -> bytes:
    start = -1
    while (start := image.find(b"\x9f\xeb\x01\x00\x18\0\0\0", start + 1)) >= 0:
        _, _, _, header, types, types_size, strings, strings_size = _BTF.unpack_from(image, start)
        end = header + strings + strings_size
        if types == 0 and strings == types_size and image[start + end - 1] == 0:
            return image[start : start + end]
    raise LookupError("the kernel's image has no BTF")
