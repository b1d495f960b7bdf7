"""Where strace prints something else of calls on processes and privileges, and why.

The tables are those of kernel_differences.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from kernel_strace import Call, parse_number

_REGISTERS = range(12, 16)
"""PTRACE_GETREGS and the like, of which strace prints no address."""


def places_of_ptrace(call: Call) -> Mapping[str, int | None]:
    """Return where the fields of a ptrace stand that stand elsewhere."""
    request = parse_number(call.arguments[0])
    has_no_address = request is not None and request.value in _REGISTERS
    return {"data_address": None, "data": 2} if has_no_address else {}


CONTENT = {
    "strace prints the members of a structure": """
        prctl_arg2 prctl_arg3 keyctl_arg2 keyctl_arg3 keyctl_arg4 data uattr seccomp_args
    """,
    "strace prints the text at the address": "prctl_arg2 prctl_arg5",
}

LEFT_OUT = {
    "strace leaves out arguments that the call does not use": """
        ptrace.target_pid ptrace.data_address ptrace.data bpf.bpf_prog_fd io_uring_setup.wq_fd
        keyctl.keyctl_arg2 keyctl.keyctl_arg3 keyctl.keyctl_arg4 keyctl.keyctl_arg5
    """,
    "strace prints it where the call leaves it": """
        io_uring_setup.sq_entries io_uring_setup.cq_entries io_uring_setup.ring_features
    """,
    "strace prints whole structures only": """
        io_uring_setup.sq_thread_cpu io_uring_setup.sq_thread_idle io_uring_setup.ring_flags
        bpf.map_type bpf.key_size bpf.value_size bpf.max_entries bpf.map_flags bpf.map_name
        bpf.prog_type bpf.insn_cnt bpf.prog_flags bpf.prog_name bpf.expected_attach_type
        bpf.bpf_path bpf.bpf_target_fd bpf.attach_type
        perf_event_open.perf_type perf_event_open.perf_config perf_event_open.sample_period
        clone3.flags clone3.exit_signal clone3.stack clone3.stack_size
        pidfd_send_signal.signal_code pidfd_send_signal.sender_pid pidfd_send_signal.sender_uid
        pidfd_send_signal.signal_value
    """,
    "strace tells nothing of a siginfo_t that names no signal": """
        rt_sigqueueinfo.signal_code rt_sigqueueinfo.sender_pid rt_sigqueueinfo.sender_uid
        rt_sigqueueinfo.signal_value rt_tgsigqueueinfo.signal_code rt_tgsigqueueinfo.sender_pid
        rt_tgsigqueueinfo.sender_uid rt_tgsigqueueinfo.signal_value
    """,
}

NAMES = {
    "another field has the names, since what the number means depends on a third": """
        prctl.prctl_arg2 prctl.prctl_arg4 ptrace.data perf_event_open.perf_config
        keyctl.keyctl_arg2 keyctl.keyctl_arg3 keyctl.keyctl_arg4 keyctl.keyctl_arg5
    """,
    "strace prints what the address means in the structure of registers": "ptrace.data_address",
    "strace names flags of SECCOMP_SET_MODE_FILTER only": "seccomp.flags",
    "strace prints the priority apart, in decimal": "swapon.flags",
    "strace is older than the names": "pidfd_send_signal.flags",
    "the kernel has renamed it": "bpf.map_type",
}

_NOT_TOLD = {
    "strace takes as zeros what the caller passes no bytes of, as the kernel does": """
        bpf.key_size bpf.value_size bpf.max_entries bpf.map_name bpf.insn_cnt bpf.bpf_prog_fd
        bpf.attach_type
    """,
    "strace prints of a structure what can be read of it": "openat2.flags openat2.resolve",
    "etracee tells of a mode where a file is made": "openat2.mode",
    "strace reads as much of a text without an end as the kernel does": """
        prctl.thread_name memfd_create.uname
    """,
}
NOT_TOLD = {place: reason for reason, places in _NOT_TOLD.items() for place in places.split()}
"""Values that etracee does not have, by call and field."""

OTHERWISE = {
    "strace takes the number apart": "perf_event_open.perf_config",
    "strace prints the text's length of bytes, with the NUL": "kexec_file_load.cmdline_ptr",
    "strace prints the 32 bits that the call uses": """
        ptrace.target_pid keyctl.keyctl_arg2 keyctl.keyctl_arg3 keyctl.keyctl_arg4
        keyctl.keyctl_arg5
    """,
    "the kernel has left the version that it knows": """
        capget.cap_version capset.cap_version capset.effective capset.permitted
        capset.inheritable
    """,
}
"""Numbers and texts that differ."""
