"""One boot of another kernel under QEMU, for one job."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vm_image import CACHE, make_disk
from vm_kernel import GUEST, Kernel

CHECKOUT = Path(__file__).resolve().parents[2]
ASKED = os.environ.get("ETRACEE_VM_TESTS")
"""Which tests of those that boot a machine are asked for: all, some or none."""
_LEFT_OUT = {".git", ".strace", ".venv", ".vm"}
_TAIL = 6000
"""Characters of what a guest has said last that a failure shows."""
_PARAMETERS = "loglevel=4 panic=-1 lsm=lockdown,yama,bpf norandmaps"
"""What each kernel is told. Of programs at the same addresses the emulator finds its translation
again: norandmaps saves a twelfth of its work."""
_ORDERLY_END = re.compile(rb"^RC=(\d+)\s+\[[\d. ]+\] reboot: Restarting system\s*\Z", re.MULTILINE)


class BootError(Exception):
    """The guest did not come to the end of its job; the message shows what it last said."""


@dataclass(frozen=True)
class Outcome:
    """What a job has left behind: its status, what it printed, what it wrote to descriptor 3."""

    status: int
    output: str
    results: bytes


def boot(
    kernel: Kernel,
    system: Path,
    job: str,
    place: Path,
    timeout: float,
    copied: Sequence[Path] = (),
) -> Outcome:
    """Boot `kernel`, run the shell script `job` in the checkout and return what came of it.

    `system` is the disk that it runs from, `place` a directory for the other one and for what comes
    back; the guest has the directories `copied` at the same paths as the host. BootError says
    that the kernel panicked, that the job took longer than `timeout` seconds, or that its status is
    missing.
    """
    _make_job_disk(job, (CHECKOUT, *copied), place / "job.img")
    try:
        subprocess.run(
            _qemu(kernel, system, place), check=True, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise BootError(_tell(place, f"the guest was not done after {timeout:.0f} s")) from None
    except subprocess.CalledProcessError as error:
        raise BootError(f"QEMU ended with {error.returncode}: {error.stderr.decode()}") from None
    end = _ORDERLY_END.search((place / "console").read_bytes())
    if end is None:
        raise BootError(_tell(place, "the guest ended before its job was done"))
    output, results = (place / "output").read_bytes(), (place / "results").read_bytes()
    return Outcome(int(end[1]), output.decode(errors="replace"), results)


def _qemu(kernel: Kernel, system: Path, place: Path) -> list[str | Path]:
    machine = kernel.machine
    append = f"console={machine.console} {machine.parameters} {_PARAMETERS}"
    words: list[str | Path] = [*machine.emulator, "-accel", "tcg,thread=multi"]
    words += ["-smp", "2", "-m", "2048", "-nodefaults", "-display", "none", "-no-reboot"]
    words += ["-kernel", kernel.image, "-initrd", kernel.initramfs, "-append", append]
    words += ["-serial", f"file:{place}/console", "-device", "virtio-serial-pci"]
    for name in ("output", "results"):
        words += ["-chardev", f"file,id={name},path={place}/{name}"]
        words += ["-device", f"virtserialport,chardev={name},name={name}"]
    # snapshot: what the guest writes is gone at its end.
    for disk in (system, place / "job.img"):
        words += ["-drive", f"if=virtio,format=raw,snapshot=on,file={disk}"]
    return words


def _make_job_disk(job: str, directories: Iterable[Path], image: Path) -> None:
    """Write the second disk: the script, the guest's programs and the directories."""
    lines = []
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        root = Path(temporary)
        shutil.copy(GUEST / "start", root)
        for number, directory in enumerate(directories):
            shutil.copytree(directory, root / str(number), ignore=_ignored, symlinks=True)
            there = shlex.quote(str(directory))
            lines.append(f"mkdir -p {there} && mount --bind /mnt/{number} {there} || exit 125")
        environment = shlex.quote(sys.prefix)
        kept = f"mkdir /mnt/kept && mount --bind {environment} /mnt/kept"
        again = f"mkdir -p {environment} && mount --bind /mnt/kept {environment}"
        # A virtual environment may lie within a directory that is mounted over it.
        lines = [f"[ ! -d {environment} ] || {{ {kept}; }}", *lines]
        lines.append(f"[ ! -d /mnt/kept ] || {{ {again}; }} || exit 125")
        lines += [f"cd {shlex.quote(str(CHECKOUT))}", 'export PYTHONPATH="$PWD"', job, ""]
        (root / "job").write_text("\n".join(lines))
        make_disk(root, image, spare_mib=64)


def _ignored(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in _LEFT_OUT or name.endswith("_cache")}


def _tell(place: Path, what: str) -> str:
    parts = [what]
    for name in ("console", "output"):
        path = place / name
        text = path.read_text(errors="replace")[-_TAIL:] if path.exists() else ""
        parts.append(f"---- the end of the guest's {name}:\n{text.strip() or '(nothing)'}")
    return "\n".join(parts)
