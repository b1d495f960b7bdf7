"""Where strace prints something else than the catalog's fields hold, and why.

Each table is by call and field, or by field alone. What stands in none of them is a mismatch.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping

import kernel_differences_of_processes as processes
from kernel_run import Event
from kernel_strace import Call, parse_number, parse_string

_OFFSET_IN_HALVES = {"pos_l": 3, "pos_h": None}
_POSITIONS: Mapping[str, Mapping[str, int | str | None]] = {
    "preadv": _OFFSET_IN_HALVES,
    "pwritev": _OFFSET_IN_HALVES,
    "preadv2": {**_OFFSET_IN_HALVES, "flags": 4},
    "pwritev2": {**_OFFSET_IN_HALVES, "flags": 4},
    "clone": {
        "flags": "flags",
        "newsp": "child_stack",
        "parent_tidptr": "parent_tid",
        "child_tidptr": "child_tidptr",
        "tls": "tls",
    },
}
"""Where a field stands among strace's arguments, if not where the kernel has it: its number from
0, or its name where strace prints `name=value`; None where strace does not print it."""
_FUTEX_POSITIONS = {9: {"uaddr2": None, "val3": 4}, 10: {"utime": None, "uaddr2": None, "val3": 3}}
"""The same for FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET."""


def place_of(call: Call, field: str, index: int) -> int | str | None:
    """Return where a field, the kernel's argument `index`, stands among strace's arguments."""
    places = _POSITIONS.get(call.name, {})
    if call.name == "ptrace":
        places = processes.places_of_ptrace(call)
    if call.name == "futex" and (operation := parse_number(call.arguments[1])):
        places = _FUTEX_POSITIONS.get(operation.value & 0x7F, {})
    if call.name.startswith("quotactl") and len(call.arguments) == 3:
        places = {"quota_id": None, "quota_data": 2}
    return places.get(field, index)


_CONTENT = {
    "strace prints the bytes of a buffer": """
        buf payload fs_value msgp umod value value_buffer list_buffer
    """,
    "strace prints the members of a structure": """
        iocbpp iocb io_events usig utime epoll_event epoll_events statbuf
        statxbuf statfsbuf ubuf ufattr quota_data waiters tsops mq_attr old_mq_attr sigevent uattr
        attr_uptr params tv tz tp cstat_range cstat mnt_req statmount_buf
        cap_header cap_data landlock_attr rule_attr siginfo ru infop rlim new_rlim old_rlim tbuf
        rseq_area seccomp_args sched_param sched_attr interval act oact uss uoss utsname
        sysinfo_address timex rqtp rmtp itimer_value old_itimer timeout argp arg ipc_buf
        ldt_entries segments dirent prctl_arg2 prctl_arg3 prctl_arg4 data fs_key
    """,
    "strace prints the number at the address": """
        ctxp io_result msg_prio_address ruidp euidp
        suidp rgidp egidp sgidp stat_addr optlen_address upeer_addrlen head_ptr len_ptr
        parent_tidptr tloc created_timer_id cpup nodep policy_address size_address uaddr uaddr2
    """,
    "strace prints the set or list at the address": """
        user_mask sigmask ufds inp outp exp old_nodes new_nodes pages nodes page_status
        mnt_ids set_tid grouplist user_mask_ptr nset oset sigset_address residency lsm_ids lsm_ctx
    """,
    "strace prints the text at the address": "name_address",
}


def _reasons(*tables: Mapping[str, str]) -> dict[str, str]:
    """Return the reason by field."""
    pairs = [pair for table in tables for pair in table.items()]
    return {field: reason for reason, fields in pairs for field in fields.split()}


CONTENT = _reasons(_CONTENT, processes.CONTENT)
"""Fields that are an address, by what strace prints in its place."""

_ROOM = "strace knows how much room the caller had for the address"
_UNUSED = "strace leaves out arguments that the call does not use"
_LEFT_OUT = {
    _UNUSED: """
        open.mode openat.mode mq_open.mode fcntl.arg ioctl.arg futex.utime futex.uaddr2 futex.val3
        prctl.prctl_arg2 prctl.prctl_arg3 prctl.prctl_arg4 prctl.prctl_arg5
        kcmp.idx1 kcmp.idx2 semctl.arg shmctl.arg quotactl.quota_id quotactl.quota_data
        quotactl_fd.quota_id quotactl_fd.quota_data reboot.arg mremap.new_addr
        arch_prctl.arch_prctl_arg2
        modify_ldt.bytecount mq_open.mq_attr mknod.dev mknodat.dev membarrier.cpu_id
        syslog.buf syslog.len clone.parent_tidptr clone.child_tidptr clone.tls
        clone3.pidfd_address clone3.child_tidptr clone3.parent_tidptr clone3.tls clone3.set_tid
        clone3.set_tid_size clone3.cgroup_fd
    """,
    "strace prints the bytes that lie at the address": """
        readv.iov_base writev.iov_base preadv.iov_base pwritev.iov_base preadv2.iov_base
        pwritev2.iov_base vmsplice.iov_base sendmsg.iov_base recvmsg.iov_base sendmmsg.iov_base
        recvmmsg.iov_base process_madvise.iov_base process_vm_readv.local_address
        process_vm_writev.local_address
    """,
    "strace prints whole structures only": """
        openat2.flags openat2.mode openat2.resolve name_to_handle_at.handle_type
        mount_setattr.attr_set mount_setattr.attr_clr mount_setattr.propagation
        sendmsg.cmsg_level connect.port connect.addr connect.flowinfo connect.sun_path
        connect.nl_pid connect.cid connect.ifindex connect.packet_protocol
    """,
    "strace prints an option's structure, its bytes or its address": """
        setsockopt.option_value getsockopt.option_value
    """,
    _ROOM: "getsockname.sun_path accept4.sun_path recvfrom.sun_path recvmsg.sun_path",
    "strace prints it where the call leaves it": """
        fcntl.l_pid recvmsg.iov_len recvmsg.msg_iovlen recvmmsg.iov_len
    """,
    "strace reads no list that is longer than memory": "process_vm_readv.remote_address",
    "strace reads as many nodes as the call says": """
        get_mempolicy.node_mask set_mempolicy.node_mask
    """,
    "strace knows that 64-bit kernels ignore it": """
        preadv.pos_h pwritev.pos_h preadv2.pos_h pwritev2.pos_h
    """,
}
LEFT_OUT = _reasons(_LEFT_OUT, processes.LEFT_OUT)
"""Arguments that strace does not print, by call and field."""

_NAMES = {
    "the field is a plain number, since what it means depends on another argument": """
        fcntl.arg ioctl.arg prctl.prctl_arg2 prctl.prctl_arg3 fsconfig.aux
        setsockopt.option_value getsockopt.option_value
    """,
    "strace takes names of SOL_SOCKET for those of other levels": "sendmsg.cmsg_type",
    "strace has names for operations with FUTEX_PRIVATE_FLAG": "futex.futex_op",
    "strace names numbers that mean all or none": """
        futex.val3 msgget.ipc_key personality.personality
    """,
    "strace prints a plain number": "socketpair.protocol",
    "strace gives several names to the number": "ioctl.ioctl_command",
    "strace has names for it where it prints no numbers": """
        utimensat.atime_nsec utimensat.mtime_nsec
    """,
    "strace prints permission bits in octal": """
        msgget.ipc_flags semget.ipc_flags shmget.ipc_flags
    """,
}
_NOT_TAKEN = "strace reads no text where the call does not"
UNREAD = {
    "mount.fs_type": _NOT_TAKEN, "mount.mount_data": _NOT_TAKEN, "fsconfig.fs_key": _NOT_TAKEN,
    "fsconfig.fs_string": _NOT_TAKEN,
    **_reasons(processes.OTHERWISE),
}  # fmt: skip
"""Texts of which strace prints the address, and numbers that differ."""

NAMES = _reasons(_NAMES, processes.NAMES)
"""Numbers to which strace gives other names, by call and field."""


def explain(
    call: Call, name: str, text: str | None, shown: object, *, same_number: bool
) -> str | None:
    """Return why etracee says something else than strace's `text` of the field; None if it errs."""
    place = f"{call.name}.{name}"
    if text is None:
        return LEFT_OUT.get(place)
    if same_number:
        return _explain_names(text, shown) or NAMES.get(place)
    if name == "sun_path" and _is_longer(text, shown):
        return _ROOM
    if place in _BEFORE:
        return "strace prints what lay there before the call"
    if shown is None and place in _PARTLY:
        return "strace prints of a list what can be read of it"
    if shown is None and place in processes.NOT_TOLD:
        return processes.NOT_TOLD[place]
    if place in UNREAD:
        return UNREAD[place]
    return CONTENT.get(name) if parse_number(text) is None else None


def _is_longer(text: str, shown: object) -> bool:
    string = parse_string(text)
    return string is not None and isinstance(shown, bytes) and shown.startswith(string.value)


_BEFORE = {
    f"{call}.{name}"
    for call in ("splice", "copy_file_range")
    for name in ("in_offset", "out_offset")
}
_PARTLY = {
    "process_vm_readv.local_address", "process_vm_readv.remote_address",
    "process_vm_writev.local_address", "process_vm_writev.remote_address", "execve.argv",
    "execveat.argv",
}  # fmt: skip
_NEWER = {
    "STATX_MNT_ID_UNIQUE", "STATX_SUBVOL", "STATX_WRITE_ATOMIC", "STATX_DIO_READ_ALIGN",
    "RWF_NOAPPEND", "RWF_ATOMIC", "RWF_DONTCACHE", "F_DUPFD_QUERY", "F_CREATED_QUERY",
    "F_GET_RW_HINT", "F_SEAL_EXEC", "MFD_NOEXEC_SEAL", "MFD_EXEC", "FALLOC_FL_WRITE_ZEROES",
    "FAN_REPORT_FD_ERROR", "FAN_REPORT_MNT", "FAN_PRE_ACCESS", "FAN_MNT_ATTACH", "FAN_MNT_DETACH",
    "MOVE_MOUNT_BENEATH", "F_SET_RW_HINT", "F_GET_FILE_RW_HINT", "F_SET_FILE_RW_HINT",
    "IP_LOCAL_PORT_RANGE", "IP_PROTOCOL", "SO_PASSPIDFD", "SO_PEERPIDFD", "SO_DEVMEM_LINEAR",
    "SO_DEVMEM_DMABUF", "SO_DEVMEM_DONTNEED", "SO_RCVPRIORITY", "SO_PASSRIGHTS", "SO_INQ",
    "TCP_AO_ADD_KEY", "TCP_AO_DEL_KEY", "TCP_AO_INFO", "TCP_AO_GET_KEY", "TCP_AO_REPAIR",
    "TCP_IS_MPTCP", "TCP_RTO_MAX_MS", "TCP_RTO_MIN_US", "TCP_DELACK_MAX_US", "TLS_TX_ZEROCOPY_RO",
    "TLS_RX_EXPECT_NO_PAD", "PACKET_VNET_HDR_SZ", "MSG_SOCK_DEVMEM",
    "MAP_DROPPABLE", "PKEY_DISABLE_READ", "MADV_GUARD_INSTALL", "MADV_GUARD_REMOVE",
    "MPOL_WEIGHTED_INTERLEAVE", "MOUNT_ATTR_IDMAP", "MOUNT_ATTR_NOSYMFOLLOW",
    "FSCONFIG_CMD_CREATE_EXCL",
}  # fmt: skip
"""Names that strace 6.1 does not know."""


def _explain_names(text: str, shown: object) -> str | None:
    if "???" in text or re.search(r"[ |]0x[0-9a-f]+ \*/$", text):
        return "strace has no name for it, or for some of its bits"
    if _NEWER & {*str(shown).split("|")}:
        return "strace is older than the name"
    return None


def explain_absence(call: Call) -> str | None:
    """Return why strace alone has seen the call; None where etracee should have, too."""
    if call.ret == -errno.ENOSYS:
        return "the kernel was built without it, so that it has no tracepoint"
    return None


def explain_surplus(event: Event) -> str | None:
    """Return why etracee alone has seen the call; None where strace should have, too."""
    if event["ret"] == -errno.ENOSYS:
        return "the process was ended when the call began, before strace was told"
    return None
