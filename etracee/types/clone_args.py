"""`struct clone_args` of clone3(2): include/uapi/linux/sched.h."""

from __future__ import annotations

from collections.abc import Mapping

from etracee.fragments import Py
from etracee.types.base import VARIABLE, Kind, Part, Type
from etracee.types.flags import Flags
from etracee.types.named import Named
from etracee.types.number import Number

_MOST = 128
"""Bytes that are kept of it; the kernel knows 88 of them (CLONE_ARGS_SIZE_VER2)."""


class CloneArgs(Type):
    """What clone3 makes; the argument behind it says how long the structure is."""

    kind = Kind.OPAQUE
    capture = "sockaddr"
    storage = VARIABLE
    most = _MOST
    doc = "struct clone_args"

    def __init__(
        self,
        bits: Mapping[str, int],
        doc: str,
        groups: Mapping[int, Mapping[str, int]],
        signals: Mapping[str, int],
    ) -> None:
        """Take the names of clone's flags and of signals."""
        self.flags = Flags(bits, doc, groups, c="u64")
        self.signal = Named(signals, c="u64", doc="signal")

    @property
    def parts(self) -> Mapping[str, Part]:
        """The members, in their order; those that clone(2) has too are named as there."""
        address = Number("u64", base=16)
        members = (
            ("flags", self.flags, "Flags of the call; their names depend on the call."),
            (
                "pidfd_address",
                address,
                "Address where the call leaves a process descriptor.",
            ),
            ("child_tidptr", address, _CHILD_TIDPTR),
            ("parent_tidptr", address, _PARENT_TIDPTR),
            (
                "exit_signal",
                self.signal,
                "Signal that the parent gets when the new process ends.",
            ),
            ("stack", address, "Lowest address of the new stack."),
            ("stack_size", address, "Size in bytes of the new stack."),
            ("tls", address, "Thread-local storage of the new thread."),
            ("set_tid", address, "Address of the list of thread ids to take."),
            ("set_tid_size", Number("u64"), "Number of thread ids to take."),
            ("cgroup_fd", Number("u64"), "Descriptor of the cgroup to start in."),
        )
        return {
            name: Part(kind, doc, member, f"clone_args_{name}", (8 * index,))
            for index, (name, kind, doc) in enumerate(members)
        }

    def shower(self) -> Py:
        """Print the bytes in hexadecimal."""
        return Py("bytes.hex")

    def read_shown(self, _shown: object) -> object:
        """Rule tests give the parts instead."""
        raise ValueError("give flags, exit_signal or others of its members instead")


_PARENT_TIDPTR = (
    "Address where the call leaves the new thread id, or the descriptor that CLONE_PIDFD asks for."
)
_CHILD_TIDPTR = "Address in the new process where its thread id is left or cleared."


def member(raw: bytes, offset: int) -> int | None:
    """Return the 64 bits at `offset`, in the host's byte order; None where they were not passed."""
    end = offset + 8
    return int.from_bytes(raw[offset:end], "little") if len(raw) >= end else None


TYPES = {"clone_args": CloneArgs}
