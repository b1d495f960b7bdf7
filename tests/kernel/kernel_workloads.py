"""Workloads in C: calls of a family of the catalog's, with many flags and hostile arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kernel_run import compile_c

_SOURCES = Path(__file__).parent / "workloads"


def call_on_files(work: Path) -> Sequence[str | Path]:
    """Files, descriptors, mounts and devices."""
    return _command(work, "file_calls")


def call_on_sockets(work: Path) -> Sequence[str | Path]:
    """Sockets of many families, their options and messages."""
    return _command(work, "network_calls")


def call_on_memory(work: Path) -> Sequence[str | Path]:
    """Memory of the process and of another."""
    return _command(work, "memory_calls")


def call_on_processes(work: Path) -> Sequence[str | Path]:
    """Children, signals, properties, namespaces and tracing."""
    return _command(work, "process_calls")


def call_on_privileges(work: Path) -> Sequence[str | Path]:
    """Ids, capabilities, keys, and the kernel itself."""
    return _command(work, "privilege_calls")


def _command(work: Path, name: str) -> Sequence[str | Path]:
    """Return the command: the program is told where it may make files."""
    text = (_SOURCES / f"{name}.c").read_text()
    place = work / "files"
    place.mkdir()
    return compile_c(work, text, f"-I{_SOURCES}", name=name), place
