"""How a process ended, as wait(2) packs it: exit code or signal, and whether it left a core."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.types.base import Kind, Names, Part, Type, integer
from etracee.types.named import Named
from etracee.types.number import Number
from etracee.types.truth import Truth


class WaitStatus(Type):
    """The 16 bits of wait(2): exit code in bits 8-15, core dumped in bit 7, signal in bits 0-6."""

    kind = Kind.OPAQUE
    capture = "wait_status"
    storage = integer("u32")
    doc = "wait status"

    def __init__(self, signals: Names) -> None:
        """`signals` are the SIG… names and numbers."""
        self.signals = signals

    @property
    def parts(self) -> Mapping[str, Part]:
        """Exit code and signal, of which one is missing, and whether memory was dumped."""
        return {
            "exit_code": Part(
                Number("u32"),
                "Exit code, 0-255; null when a signal ended the process.",
                exit_code,
                "wait_exit_code",
            ),
            "signal": Part(
                Named(self.signals, c="u32"),
                "Signal that ended the process; null when it exited by itself.",
                signal,
                "wait_signal",
            ),
            "core_dumped": Part(
                Truth(),
                "Whether the signal left a core dump, to a file or to a program: core(5).",
                core_dumped,
                "wait_core_dumped",
            ),
        }


def exit_code(status: int) -> int | None:
    """Return the exit code; None when a signal ended the process."""
    return None if status & 0x7F else status >> 8 & 0xFF


def signal(status: int) -> int | None:
    """Return the number of the signal that ended the process, or None."""
    return status & 0x7F or None


def core_dumped(status: int) -> bool:
    """Say whether the process left a core dump."""
    return bool(status & 0x80)


def stop_signal(status: int) -> int | None:
    """Return the number of the signal that stopped the process; None unless one has."""
    return status >> 8 & 0xFF if status & 0xFF == _STOPPED else None


def is_continued(status: int) -> bool:
    """Say whether the process was continued by SIGCONT."""
    return status == _CONTINUED


_STOPPED, _CONTINUED = 0x7F, 0xFFFF
"""What stands in the low byte, and in all 16 bits: wait(2) tells them, and exits do not."""

TYPES = {"wait_status": WaitStatus}
