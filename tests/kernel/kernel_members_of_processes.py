"""What strace prints of a part, for calls on processes and privileges."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kernel_strace import parse_list, parse_struct

_CODES = {
    "WIFEXITED": "1 /* CLD_EXITED */",
    "WIFSIGNALED": "2 /* CLD_KILLED */",
    "WCOREDUMP": "3 /* CLD_DUMPED */",
    "WIFSTOPPED": "5 /* CLD_STOPPED */",
    "WIFCONTINUED": "6 /* CLD_CONTINUED */",
}
"""What waitid would say of what strace says of a status; the last that fits counts."""


def _member_of_status(text: str, name: str) -> str | None:
    status = (parse_list(text) or [""])[0]
    if name == "child_code":
        codes = [code for macro, code in _CODES.items() if f"{macro}(s)" in status]
        return codes[-1] if codes else None
    macros = "WEXITSTATUS" if name == "child_exit_code" else "WTERMSIG|WSTOPSIG"
    found = re.search(rf"(?:{macros})\(s\) == (\w+)", status)
    return found and found[1]


_INFO = {"child_code": "si_code", "waited_pid": "si_pid", "waited_uid": "si_uid"}


def _member_of_info(text: str, name: str) -> str | None:
    members = parse_struct(text)
    if name in _INFO:
        return members.get(_INFO[name])
    exited = "CLD_EXITED" in members.get("si_code", "")
    return members.get("si_status") if exited == (name == "child_exit_code") else None


def _member_of_capabilities(text: str, name: str) -> str | None:
    """Put together the two halves, of which strace prints the high one from bit 0 on."""
    found = _HALF.findall(parse_struct(text).get(name, ""))
    if not found:
        return None
    halves = [(int(number, 0), names.replace("1<<", "")) for number, names in found]
    if len(halves) == 1 and halves[0][1].split("|")[0] in _HIGH:  # of the low ones, all have names
        halves.insert(0, (0, ""))
    value = sum(number << 32 * half for half, (number, _) in enumerate(halves))
    names = "|".join(names for _, names in halves if names)
    return f"{value:#x} /* {names} */" if names else str(value)


_HIGH = (
    "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE", "CAP_???",
)  # fmt: skip
"""Capabilities from number 32 on."""
_HALF = re.compile(r"(?:^|\|)(0x[0-9a-f]+|0)(?: /\* (.*?) \*/)?")


MEMBERS: Mapping[str, Callable[[str, str], str | None]] = {
    "ChildStatus": _member_of_status,
    "ChildInfo": _member_of_info,
    "CapabilitySets": _member_of_capabilities,
}
"""By the type of a whole: what strace prints of its part of some name."""

WAYS: Mapping[str, tuple[tuple[int | str, ...], ...]] = {
    "signal_code": (("si_code",),),
    "sender_pid": (("si_pid",),),
    "sender_uid": (("si_uid",),),
    "signal_value": (("si_ptr",),),
    "cap_version": (("version",),),
    "cap_pid": (("pid",),),
    "ring_flags": (("flags",),),
    "ring_features": (("features",),),
    "filter_len": (("len",),),
    "perf_type": (("type",),),
    "perf_config": (("config",),),
    "sample_period": (("sample_period",), ("sample_freq",)),
    "bpf_target_fd": (("target_fd",),),
    "bpf_prog_fd": (("attach_bpf_fd",),),
}
"""Where strace has a member of a structure, if not under the field's own name."""
