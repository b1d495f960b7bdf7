"""Where strace prints something else than the catalog's fields hold, and why.

Each table is by call and field, or by field alone. What stands in none of them is a mismatch.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping

from kernel_run import Event
from kernel_strace import Call, parse_number, parse_struct

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
    if call.name == "futex" and (operation := parse_number(call.arguments[1])):
        places = _FUTEX_POSITIONS.get(operation.value & 0x7F, {})
    return places.get(field, index)


_CONTENT = {
    "strace prints the bytes of a buffer": """
        buf payload fs_value msgp umod value value_buffer list_buffer
    """,
    "strace prints the buffers of a list": "vec lvec rvec",
    "strace prints the members of a structure": """
        iocbpp iocb io_events usig times utime xattr_args epoll_event epoll_events handle statbuf
        statxbuf statfsbuf ubuf ufattr quota_data waiters tsops mq_attr old_mq_attr sigevent uattr
        attr_uptr params tv tz tp cstat_range cstat mount_attr mnt_req statmount_buf msg mmsg optval
        cap_header cap_data landlock_attr rule_attr siginfo ru infop rlim new_rlim old_rlim tbuf
        rseq_area seccomp_args sched_param sched_attr interval act oact uss uoss utsname
        sysinfo_address timex rqtp rmtp itimer_value old_itimer timeout argp arg ipc_buf
        ldt_entries segments dirent prctl_arg2 prctl_arg3 prctl_arg4 data fs_key
    """,
    "strace prints the number at the address": """
        ctxp io_result off_in off_out offset_address fildes mnt_id msg_prio_address ruidp euidp
        suidp rgidp egidp sgidp stat_addr optlen_address upeer_addrlen usockvec head_ptr len_ptr
        parent_tidptr tloc created_timer_id cpup nodep policy_address size_address uaddr uaddr2
    """,
    "strace prints the set or list at the address": """
        user_mask sigmask ufds inp outp exp nmask old_nodes new_nodes pages nodes page_status
        mnt_ids grouplist user_mask_ptr nset oset sigset_address residency lsm_ids lsm_ctx
    """,
    "strace prints the socket address at the address": "upeer_sockaddr",
    "strace prints the text at the address": "name_address mount_data",
}
CONTENT = {field: reason for reason, fields in _CONTENT.items() for field in fields.split()}
"""Fields that are an address, by what strace prints in its place."""

_UNUSED = "strace leaves out arguments that the call does not use"
_LEFT_OUT = {
    _UNUSED: """
        open.mode openat.mode mq_open.mode fcntl.arg ioctl.arg futex.utime futex.uaddr2 futex.val3
        prctl.prctl_arg2 prctl.prctl_arg3 prctl.prctl_arg4 prctl.prctl_arg5 keyctl.prctl_arg2
        keyctl.prctl_arg3 keyctl.prctl_arg4 keyctl.prctl_arg5 ptrace.data_address ptrace.data
        kcmp.idx1 kcmp.idx2 semctl.arg shmctl.arg quotactl.quota_id quotactl.quota_data
        quotactl_fd.quota_id quotactl_fd.quota_data reboot.arg mremap.new_addr arch_prctl.prctl_arg2
        modify_ldt.bytecount mq_open.mq_attr mknod.dev mknodat.dev membarrier.cpu_id
        syslog.buf syslog.len clone.parent_tidptr clone.child_tidptr clone.tls
        clone3.pidfd_address clone3.child_tidptr clone3.parent_tidptr clone3.tls clone3.set_tid
        clone3.set_tid_size clone3.cgroup_fd
    """,
    "strace knows that 64-bit kernels ignore it": """
        preadv.pos_h pwritev.pos_h preadv2.pos_h pwritev2.pos_h
    """,
}
LEFT_OUT = {field: reason for reason, fields in _LEFT_OUT.items() for field in fields.split()}
"""Arguments that strace does not print, by call and field."""

_NAMES = {
    "the field is a plain number, since what it means depends on another argument": """
        fcntl.arg ioctl.arg getsockopt.optname setsockopt.optname socket.protocol
        socketpair.protocol prctl.prctl_arg2 prctl.prctl_arg3 ioctl.cmd
    """,
    "strace has names for operations with FUTEX_PRIVATE_FLAG": "futex.futex_op",
    "strace names numbers that mean all or none": """
        futex.val3 msgget.ipc_key personality.personality
    """,
    "strace knows the kind of quota too, which the number holds": "quotactl.cmd quotactl_fd.cmd",
    "strace names an empty group of flags": "statx.flags",
    "strace prints permission bits in octal": """
        msgget.ipc_flags semget.ipc_flags shmget.ipc_flags
    """,
    "strace tells the type of file from its mode": "mknod.mode mknodat.mode",
}
UNREAD = {"mount.fs_type": "strace reads no type where the flags say that the call does not"}
"""Texts of which strace prints the address."""

NAMES = {field: reason for reason, fields in _NAMES.items() for field in fields.split()}
"""Numbers to which strace gives other names, by call and field."""


def explain(call: Call, name: str, text: str | None, *, same_number: bool) -> str | None:
    """Return why etracee says something else than strace's `text` of the field; None if it errs."""
    place = f"{call.name}.{name}"
    if text is None:
        return LEFT_OUT.get(place)
    if same_number:
        return NAMES.get(place)
    if place in UNREAD:
        return UNREAD[place]
    return CONTENT.get(name) if parse_number(text) is None else None


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


def _member_of_address(text: str, name: str) -> str | None:
    """Return a part of a socket address."""
    members = parse_struct(text)
    if name == "family":
        return members.get("sa_family")
    if name == "port":
        port = re.search(r"_port=[^,]*htons\((\d+)\)", text)
        return port and port[1]
    if name == "addr":
        address = re.search(r'(?:inet_addr\(|inet_pton\([^,]*, )("[^"]*")', text)
        return address and address[1]
    return members.get(name)


_OF_CLONE_ARGS = {
    "pidfd_address": "pidfd",
    "child_tidptr": "child_tid",
    "parent_tidptr": "parent_tid",
    "cgroup_fd": "cgroup",
}


def _member_of_clone_args(text: str, name: str) -> str | None:
    """Return a member as it was passed; behind an arrow stands what the call has left."""
    return parse_struct(text.partition(" => ")[0]).get(_OF_CLONE_ARGS.get(name, name))


MEMBERS: Mapping[str, Callable[[str, str], str | None]] = {
    "SocketAddress": _member_of_address,
    "CloneArgs": _member_of_clone_args,
    "OpenHow": lambda text, name: parse_struct(text).get(name),
}
"""By the type of a whole: what strace prints of its part of some name."""
