"""Files that `etracee build` writes: a program for hosts of one kernel, which need no compiler.

There is Python in such a file, which runs with all of etracee's privileges: it is to be trusted as
a program is, and is not run where others could have changed it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import msgspec

import etracee
from etracee.kernel.identity import Kernel, identify_kernel
from etracee.problems import ProblemsError, host_lacks, wrong
from etracee.runtime.image import Image, ImageError, seal, unseal
from etracee.runtime.order import Order

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Built(msgspec.Struct, frozen=True):
    """What is in the file: a program for the host, one for a command and its descendants.

    `code` stands for etracee's own modules, which the decoder calls.
    """

    version: str
    code: bytes
    kernel: Kernel
    alerts_only: bool
    allow_actions: bool
    host: Image
    tree: Image


def build(order: Order, host: Image, tree: Image) -> bytes:
    """Return the bytes of the file; ProblemsError where the kernel does not tell its build."""
    kernel = identify_kernel()
    if kernel is None:
        hint = "boot a kernel that was linked with --build-id"
        raise host_lacks("/sys/kernel/notes does not tell the kernel's build", hint)
    built = Built(
        version=etracee.__version__,
        code=_digest_package(),
        kernel=kernel,
        alerts_only=order.alerts_only,
        allow_actions=order.allow_actions,
        host=host,
        tree=tree,
    )
    return seal(msgspec.msgpack.encode(built))


def read_built(order: Order) -> Image:
    """Return the program that the order means; ProblemsError where it does not fit to this host.

    What the order narrows must have been narrowed when the file was written.
    """
    path = order.profile
    try:
        built = msgspec.msgpack.decode(unseal(_read(path)), type=Built)
    except OSError as error:
        raise wrong(None, f"cannot read {path}: {error.strerror}") from None
    except (ImageError, msgspec.DecodeError) as error:
        hint = "name a profile with -p, or a file that etracee build wrote"
        raise wrong(None, f"{path} cannot be run: {error}", hint) from None
    _check_host(path, built)
    _check_order(path, built, order)
    return built.tree if order.tree else built.host


def _check_host(path: str, built: Built) -> None:
    here, there = identify_kernel(), built.kernel
    hint = "write the file on a host like this one: etracee build -p PROFILE -o FILE"
    if here != there:
        this = f"{here.release} {here.machine} ({here.build_id[:12]})" if here else "another"
        that = f"{there.release} {there.machine} ({there.build_id[:12]})"
        raise host_lacks(f"{path} is for the kernel {that}, and this one is {this}", hint)
    if built.code != _digest_package():
        what = f"{path} was written by etracee {built.version}, and this is {etracee.__version__}"
        same = " with other code" if built.version == etracee.__version__ else ""
        raise host_lacks(f"{what}{same}", hint)


def _check_order(path: str, built: Built, order: Order) -> None:
    narrowed = [option for option, _ in order.filters]
    narrowed += ["--event"] * bool(order.events) + ["--rules"] * bool(order.rules)
    narrowed += ["--alerts-only"] * (order.alerts_only and not built.alerts_only)
    if narrowed:
        what = f"{path} is compiled already, and cannot take {', '.join(narrowed)}"
        raise wrong(None, what, "give that to etracee build")
    if built.allow_actions and not order.allow_actions:
        what = f"rules in {path} end processes"
        raise wrong(None, what, "allow that with --allow-actions")
    if order.allow_actions and not built.allow_actions:
        what = f"{path} was built without --allow-actions"
        raise wrong(None, what, "give that to etracee build")


def _read(path: str) -> bytes:
    """Return what the file holds; ProblemsError where somebody else could have written it."""
    real = Path(path).resolve(strict=True)
    for directory in real.parents:
        _check_writers(path, directory, directory.stat())
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(real, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("it is no regular file")
        _check_writers(path, real, found)
        return file.read()


def _check_writers(path: str, part: Path, found: os.stat_result) -> None:
    """Refuse what others than root and the caller may change; in a sticky directory they cannot."""
    if found.st_uid not in _trusted_users():
        raise _untrusted(path, f"{part} belongs to user {found.st_uid}")
    is_shared = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & _OTHERS_WRITE and not is_shared:
        raise _untrusted(path, f"others may write to {part}")


def _trusted_users() -> set[int]:
    """Return root, the user we run as, and the one who has called sudo."""
    caller = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return {0, os.geteuid(), *([int(caller)] if caller.isdecimal() else [])}


def _untrusted(path: str, why: str) -> ProblemsError:
    hint = "it is a program: keep it where only root and you may write (chown, chmod go-w)"
    return wrong(None, f"{path} is not run: {why}", hint)


def _digest_package() -> bytes:
    """Return what stands for the content of etracee's modules."""
    package = Path(etracee.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(b"%s\0" % os.fsencode(path.relative_to(package)))
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()
