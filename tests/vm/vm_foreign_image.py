"""A disk for a machine of another architecture: Debian's packages and the wheels etracee needs."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from vm_archive import Archive, output_of
from vm_image import CACHE, Tree, make_disk

PYTHON = "/usr/bin/python3"
_PACKAGES = (
    *("python3-bpfcc", "python3-minimal", "python3", "busybox-static", "bash", "dash", "coreutils"),
    *("mount", "util-linux", "tar", "sed", "grep"),
)
_WHEELS = ("click", "google-re2", "jinja2", "lark", "msgspec", "pydantic", "pyyaml")
"""What etracee depends on, see pyproject.toml; none of it is compiled here."""
_PLATFORMS = {"arm64": "manylinux2014_aarch64"}
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale")


def foreign_system_disk(architecture: str) -> Path:
    """Return the image of a system for `architecture`, named as dpkg does; it is made once.

    The packages are unpacked only: none of their scripts is run.
    """
    made_from = Path(__file__).read_bytes() + sys.version.encode()
    image = CACHE / f"{architecture}-{hashlib.sha256(made_from).hexdigest()[:16]}.img"
    if not image.exists():
        CACHE.mkdir(exist_ok=True)
        for old in CACHE.glob(f"{architecture}-*"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            tree = Tree(Path(directory))
            _fill(tree, architecture)
            make_disk(tree.root, image, spare_mib=256)
    return image


def _fill(tree: Tree, architecture: str) -> None:
    Archive(architecture).unpack_with_needs(_PACKAGES, tree.root)
    for name in _UNUSED:
        shutil.rmtree(tree.root / name, ignore_errors=True)
    version = "{}.{}".format(*_python_version(tree.root))
    place = tree.root / f"usr/local/lib/python{version}/dist-packages"
    words = ["pip", "install", "--no-input", "--disable-pip-version-check", "--target", place]
    words += ["--platform", _PLATFORMS[architecture], "--only-binary=:all:"]
    output_of(sys.executable, "-m", *words, "--python-version", version, *_WHEELS)
    for name in ("passwd", "group"):
        tree.add(f"/etc/{name}")


def _python_version(root: Path) -> tuple[str, ...]:
    """Return 3, 11 for a tree whose /usr/bin/python3 is a link to python3.11."""
    return tuple(str((root / "usr/bin/python3").readlink()).removeprefix("python").split("."))
