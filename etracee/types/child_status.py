"""What wait4(2) and waitid(2) tell of a child: what happened to it, its exit code, its signal.

Both are told in the words of waitid, CLD_EXITED and the like: include/uapi/asm-generic/siginfo.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from etracee.fragments import Py
from etracee.types import wait_status
from etracee.types.base import VARIABLE, Kind, Names, Part, Type
from etracee.types.named import Named
from etracee.types.number import Number
from etracee.types.structure import member

_EXITED, _KILLED, _DUMPED, _STOPPED, _CONTINUED = 1, 2, 3, 5, 6


class ChildStatus(Type):
    """The status that wait4 leaves: 4 bytes, packed as wait(2) says."""

    kind = Kind.OPAQUE
    capture = "bytes"
    storage = VARIABLE
    counts_excess = False
    most = 4
    doc = "status of a child"

    def __init__(self, names: Names, signals: Names) -> None:
        """Take the CLD_… names and the SIG… names."""
        self.names, self.signals = names, signals

    @property
    def parts(self) -> Mapping[str, Part]:
        """What happened, and how: of exit code and signal, one is missing at least."""
        return _parts(self.names, self.signals, status_code, status_exit, status_signal)

    def shower(self) -> Py:
        """Print the bytes in hexadecimal."""
        return Py("bytes.hex")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError("give child_code, child_exit_code or child_signal instead")


class ChildInfo(ChildStatus):
    """The siginfo_t that waitid leaves, as far as it tells of a child."""

    most = 28
    doc = "siginfo_t of a child"

    @property
    def parts(self) -> Mapping[str, Part]:
        """The child's pid and user too."""
        return {
            **_parts(self.names, self.signals, info_code, info_exit, info_signal),
            "waited_pid": Part(
                Number("s32"), "Process id of the child; null where none had changed.", pid, None
            ),
            "waited_uid": Part(
                Number("u32"), "Real user id of the child; null where none had changed.", uid, None
            ),
        }


def _parts(
    names: Names,
    signals: Names,
    code: Callable[[bytes], int | None],
    exit_code: Callable[[bytes], int | None],
    signal: Callable[[bytes], int | None],
) -> Mapping[str, Part]:
    return {
        "child_code": Part(Named(names), "What happened to the child.", code, None),
        "child_exit_code": Part(
            Number("s32"), "Exit code of the child; null unless it exited.", exit_code, None
        ),
        "child_signal": Part(
            Named(signals),
            "Signal that ended, stopped or continued the child; null where it exited.",
            signal,
            None,
        ),
    }


def _status(raw: bytes) -> int | None:
    return member(raw, 0, 4, 0)


def status_code(raw: bytes) -> int | None:
    """Return the CLD_… number that the status means."""
    status = _status(raw)
    if status is None:
        return None
    if wait_status.is_continued(status):
        return _CONTINUED
    if wait_status.stop_signal(status) is not None:
        return _STOPPED
    if wait_status.exit_code(status) is not None:
        return _EXITED
    return _DUMPED if wait_status.core_dumped(status) else _KILLED


def status_exit(raw: bytes) -> int | None:
    """Return the exit code, 0-255; None unless the child exited."""
    status = _status(raw)
    return None if status is None else wait_status.exit_code(status)


def status_signal(raw: bytes) -> int | None:
    """Return the signal that ended or stopped the child; None where none is told."""
    status = _status(raw)
    if status is None or wait_status.is_continued(status):
        return None
    stopped = wait_status.stop_signal(status)
    return wait_status.signal(status) if stopped is None else stopped


def pid(raw: bytes) -> int | None:
    """Return si_pid; None where no child had changed, of which waitid leaves 0."""
    return member(raw, 16, 4, 1) or None


def uid(raw: bytes) -> int | None:
    """Return si_uid."""
    return member(raw, 20, 4, 0) if pid(raw) else None


def info_code(raw: bytes) -> int | None:
    """Return si_code."""
    return member(raw, 8, 4, 1) if pid(raw) else None


def info_exit(raw: bytes) -> int | None:
    """Return si_status of a child that exited."""
    return member(raw, 24, 4, 1) if info_code(raw) == _EXITED else None


def info_signal(raw: bytes) -> int | None:
    """Return si_status of a child that a signal ended, stopped or continued."""
    return member(raw, 24, 4, 1) if info_code(raw) not in (None, _EXITED) else None


TYPES = {"child_status": ChildStatus, "child_info": ChildInfo}
