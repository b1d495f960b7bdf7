"""What strace has seen: a parser of its output, and its calls in the form of our events.

strace must be run with -f, -xx (each byte of a string in hexadecimal, so that no string can look
like syntax), -s 65535 and -o FILE.
"""

from __future__ import annotations

import errno
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

OPTIONS = ("-f", "-xx", "-s", "65535", "-e", "signal=none", "--seccomp-bpf")

_LINE = re.compile(r"(?P<tid>\d+) +(?P<rest>.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_MOVED = re.compile(r" <pid changed to (?P<tid>\d+) \.\.\.>$")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>.*)")
_STRING = re.compile(r'"(?P<bytes>(?:\\x[0-9a-f]{2})*)"')
_KERNEL_ONLY = {"ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ERESTARTNOHAND": 514}


@dataclass(frozen=True)
class Call:
    """A call as strace prints it; `ret` is None where strace could not tell."""

    tid: int
    name: str
    arguments: tuple[str, ...]
    ret: int | None


def read_calls(path: Path) -> list[Call]:
    """Return the calls in the order of their end.

    A thread that replaces its process by execve goes on under the process's first thread's id: the
    call counts as that of the thread that made it.
    """
    begun: dict[int, tuple[int, str]] = {}
    calls = []
    for line in path.read_text("ascii").splitlines():
        match = _LINE.fullmatch(line)
        assert match, f"not a line of strace -f: {line!r}"
        tid, rest = int(match["tid"]), match["rest"]
        if rest.startswith(("+++", "---")):
            continue
        if moved := _MOVED.search(rest):
            begun[int(moved["tid"])] = tid, rest[: moved.start()]
        elif rest.endswith(_UNFINISHED) and not _RESUMED.match(rest):
            begun[tid] = tid, rest.removesuffix(_UNFINISHED)
        elif resumed := _RESUMED.match(rest):
            caller, start = begun.pop(tid)
            assert start.startswith(resumed["name"]), f"{rest!r} follows {start!r}"
            calls.append(_parse_call(caller, start + rest[resumed.end() :]))
        else:
            calls.append(_parse_call(tid, rest))
    calls += (_parse_call(tid, f"{start}) = ?") for tid, start in begun.values())
    return calls


def _parse_call(tid: int, text: str) -> Call:
    match = _CALL.fullmatch(text.replace(f"{_UNFINISHED})", ")"))
    assert match, f"not a call: {text!r}"
    arguments = tuple(split_arguments(match["arguments"]))
    return Call(tid, match["name"], arguments, _parse_result(match["result"]))


def _parse_result(text: str) -> int | None:
    """Return a result as the kernel has it: an error is negative."""
    value, _, rest = text.partition(" ")
    name = rest.partition(" ")[0]
    if name in _KERNEL_ONLY:
        return -_KERNEL_ONLY[name]
    if value == "?":
        return None
    if value == "-1" and name.startswith("E"):
        return -int(getattr(errno, name))
    return int(value, 0)


def split_arguments(text: str) -> Iterator[str]:
    """Yield what stands between commas that are in no bracket."""
    depth, start = 0, 0
    for at, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
    if text.strip():
        yield text[start:].strip()


def parse_string(text: str) -> bytes | None:
    """Return the bytes of a string; None for a pointer, which strace prints where it can't read."""
    match = _STRING.fullmatch(text)
    if match:
        return bytes.fromhex(match["bytes"].replace("\\x", ""))
    assert text == "NULL" or text.startswith("0x"), f"neither string nor pointer: {text!r}"
    return None


def parse_vector(text: str) -> list[bytes | None] | None:
    """Return the strings of an argument vector; a missing vector is an empty one: execve(2)."""
    if text == "NULL":
        return []
    if not text.startswith("["):
        return None
    return [parse_string(element) for element in split_arguments(text[1:-1])]


def parse_number(text: str) -> int:
    """Return a number or an address, without the comment behind it."""
    return 0 if text == "NULL" else int(text.partition(" ")[0], 0)


def parse_open_how(text: str) -> dict[str, object]:
    """Return flags and mode of a struct open_how, which strace leaves out where it has none."""
    found = dict(part.split("=", 1) for part in text.strip("{}").split(", ") if "=" in part)
    return {"flags": found.get("flags"), "mode": found.get("mode")}


def parse_address(text: str) -> str:
    """Return an address as our fields print it."""
    return hex(parse_number(text))


def parse_sockaddr(text: str) -> dict[str, object]:
    """Return family, addr, port and sun_path of a socket address."""
    parts: dict[str, object] = dict.fromkeys(("family", "addr", "port", "sun_path"))
    family = re.match(r"\{sa_family=(\w+)", text)
    if family is None:
        return parts
    parts["family"] = family[1]
    if port := re.search(r"sin6?_port=htons\((\d+)\)", text):
        parts["port"] = int(port[1])
    if address := re.search(rf"(?:inet_addr\(|inet_pton\(AF_INET6, ){_STRING.pattern}", text):
        parts["addr"] = _show_address(bytes.fromhex(address["bytes"].replace("\\x", "")).decode())
    if path := re.search(rf"sun_path=(@?){_STRING.pattern}", text):
        parts["sun_path"] = path[1].encode() + bytes.fromhex(path["bytes"].replace("\\x", ""))
    return parts


def _show_address(text: str) -> str:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


Reader = Callable[[str], object]


def _plain(text: str) -> object:
    return text


def _named(text: str) -> object:
    """Return the name that strace puts behind a number, or the number where it has none."""
    number, _, comment = text.partition(" /* ")
    if not comment:
        return text
    return int(number, 0) if "???" in comment else comment.removesuffix(" */")


_OPEN: Mapping[str, tuple[int, Reader]] = {
    "dfd": (0, _plain), "filename": (1, parse_string), "flags": (2, _plain), "mode": (3, _plain),
}  # fmt: skip
_SOCKET: Mapping[str, tuple[int, Reader]] = {
    "fd": (0, parse_number), "address": (1, parse_sockaddr), "addrlen": (2, parse_number),
}  # fmt: skip
_TWO_NAMES: Mapping[str, tuple[int, Reader]] = {
    "olddfd": (0, _plain), "oldname": (1, parse_string),
    "newdfd": (2, _plain), "newname": (3, parse_string),
}  # fmt: skip
_OWNER: Mapping[str, tuple[int, Reader]] = {
    "filename": (0, parse_string), "owner": (1, parse_number), "owner_group": (2, parse_number),
}  # fmt: skip
_ATTRIBUTE: Mapping[str, tuple[int, Reader]] = {
    "filename": (0, parse_string), "xattr_name": (1, parse_string), "size": (3, parse_number),
    "flags": (4, _plain),
}  # fmt: skip
_ATTRIBUTE_OF_FD: Mapping[str, tuple[int, Reader]] = {
    "fd": (0, parse_number), "xattr_name": (1, parse_string),
}  # fmt: skip
_MEMORY: Mapping[str, tuple[int, Reader]] = {
    "target_pid": (0, parse_number), "liovcnt": (2, parse_number), "riovcnt": (4, parse_number),
    "flags": (5, _plain),
}  # fmt: skip

ARGUMENTS: Mapping[str, Mapping[str, tuple[int, Reader]]] = {
    "execve": {
        "filename": (0, parse_string), "argv": (1, parse_vector), "envp": (2, parse_number),
    },
    "execveat": {
        "dfd": (0, _plain), "filename": (1, parse_string), "argv": (2, parse_vector),
        "envp": (3, parse_number), "flags": (4, _plain),
    },
    "open": {"filename": (0, parse_string), "flags": (1, _plain), "mode": (2, _plain)},
    "openat": _OPEN,
    "openat2": {
        "dfd": (0, _plain), "filename": (1, parse_string), "how": (2, parse_open_how),
        "usize": (3, parse_number),
    },
    "creat": {"filename": (0, parse_string), "mode": (1, _plain)},
    "connect": _SOCKET,
    "bind": _SOCKET,
    "chmod": {"filename": (0, parse_string), "mode": (1, _plain)},
    "fchmod": {"fd": (0, parse_number), "mode": (1, _plain)},
    "fchmodat": {"dfd": (0, _plain), "filename": (1, parse_string), "mode": (2, _plain)},
    "unlink": {"filename": (0, parse_string)},
    "unlinkat": {"dfd": (0, _plain), "filename": (1, parse_string), "flags": (2, _plain)},
    "memfd_create": {"uname": (0, parse_string), "flags": (1, _plain)},
    "kill": {"target_pid": (0, parse_number), "sig": (1, _plain)},
    "tgkill": {
        "target_pid": (0, parse_number), "target_tid": (1, parse_number), "sig": (2, _plain),
    },
    "setuid": {"new_uid": (0, parse_number)},
    "setgid": {"new_gid": (0, parse_number)},
    "rename": {"oldname": (0, parse_string), "newname": (1, parse_string)},
    "renameat": _TWO_NAMES,
    "renameat2": {**_TWO_NAMES, "flags": (4, _plain)},
    "link": {"oldname": (0, parse_string), "newname": (1, parse_string)},
    "linkat": {**_TWO_NAMES, "flags": (4, _plain)},
    "symlink": {"oldname": (0, parse_string), "newname": (1, parse_string)},
    "symlinkat": {
        "oldname": (0, parse_string), "newdfd": (1, _plain), "newname": (2, parse_string),
    },
    "mknod": {"filename": (0, parse_string)},
    "mknodat": {"dfd": (0, _plain), "filename": (1, parse_string)},
    "chown": _OWNER,
    "lchown": _OWNER,
    "fchown": {
        "fd": (0, parse_number), "owner": (1, parse_number), "owner_group": (2, parse_number),
    },
    "fchownat": {
        "dfd": (0, _plain), "filename": (1, parse_string), "owner": (2, parse_number),
        "owner_group": (3, parse_number), "flags": (4, _plain),
    },
    "truncate": {"filename": (0, parse_string), "length": (1, parse_number)},
    "ftruncate": {"fd": (0, parse_number), "length": (1, parse_number)},
    "open_by_handle_at": {"dfd": (0, _plain), "flags": (2, _plain)},
    "dup": {"oldfd": (0, parse_number)},
    "dup2": {"oldfd": (0, parse_number), "newfd": (1, parse_number)},
    "dup3": {"oldfd": (0, parse_number), "newfd": (1, parse_number), "flags": (2, _plain)},
    "utime": {"filename": (0, parse_string)},
    "utimes": {"filename": (0, parse_string)},
    "futimesat": {"dfd": (0, _plain), "filename": (1, parse_string)},
    "utimensat": {"dfd": (0, _plain), "filename": (1, parse_string), "flags": (3, _plain)},
    "setxattr": _ATTRIBUTE,
    "lsetxattr": _ATTRIBUTE,
    "fsetxattr": {**_ATTRIBUTE_OF_FD, "size": (3, parse_number), "flags": (4, _plain)},
    "removexattr": {"filename": (0, parse_string), "xattr_name": (1, parse_string)},
    "lremovexattr": {"filename": (0, parse_string), "xattr_name": (1, parse_string)},
    "fremovexattr": _ATTRIBUTE_OF_FD,
    "mount": {
        "dev_name": (0, parse_string), "dir_name": (1, parse_string), "fs_type": (2, parse_string),
        "flags": (3, _plain), "mount_data": (4, parse_address),
    },
    "umount2": {"filename": (0, parse_string), "flags": (1, _plain)},
    "move_mount": {**_TWO_NAMES, "flags": (4, _plain)},
    "open_tree": {"dfd": (0, _plain), "filename": (1, parse_string), "flags": (2, _plain)},
    "fsopen": {"fs_type": (0, parse_string), "flags": (1, _plain)},
    "pivot_root": {"new_root": (0, parse_string), "put_old": (1, parse_string)},
    "chroot": {"filename": (0, parse_string)},
    "tkill": {"target_tid": (0, parse_number), "sig": (1, _plain)},
    "rt_sigqueueinfo": {"target_pid": (0, parse_number), "sig": (1, _plain)},
    "rt_tgsigqueueinfo": {
        "target_pid": (0, parse_number), "target_tid": (1, parse_number), "sig": (2, _plain),
    },
    "pidfd_send_signal": {"pidfd": (0, parse_number), "sig": (1, _plain), "flags": (3, _plain)},
    "pidfd_getfd": {
        "pidfd": (0, parse_number), "target_fd": (1, parse_number), "flags": (2, _plain),
    },
    "process_vm_readv": _MEMORY,
    "process_vm_writev": _MEMORY,
    "prctl": {"option": (0, _plain)},
    "personality": {"personality": (0, _plain)},
    "mprotect": {
        "start": (0, parse_address), "len": (1, parse_number), "prot": (2, _plain),
    },
    "pkey_mprotect": {
        "start": (0, parse_address), "len": (1, parse_number), "prot": (2, _plain),
        "pkey": (3, parse_number),
    },
    "unshare": {"flags": (0, _plain)},
    "setns": {"fd": (0, parse_number), "flags": (1, _plain)},
    "setreuid": {"new_ruid": (0, parse_number), "new_euid": (1, parse_number)},
    "setregid": {"new_rgid": (0, parse_number), "new_egid": (1, parse_number)},
    "setresuid": {
        "new_ruid": (0, parse_number), "new_euid": (1, parse_number), "new_suid": (2, parse_number),
    },
    "setresgid": {
        "new_rgid": (0, parse_number), "new_egid": (1, parse_number), "new_sgid": (2, parse_number),
    },
    "setfsuid": {"new_uid": (0, parse_number)},
    "setfsgid": {"new_gid": (0, parse_number)},
    "setgroups": {"gidsetsize": (0, parse_number)},
    "socket": {"family": (0, _plain), "socket_type": (1, _plain)},
    "listen": {"fd": (0, parse_number), "backlog": (1, parse_number)},
    "accept": {"fd": (0, parse_number)},
    "accept4": {"fd": (0, parse_number), "flags": (3, _plain)},
    "bpf": {"cmd": (0, _plain), "size": (2, parse_number)},
    "perf_event_open": {
        "target_pid": (1, parse_number), "cpu": (2, parse_number), "group_fd": (3, parse_number),
        "flags": (4, _plain),
    },
    "userfaultfd": {"flags": (0, _plain)},
    "io_uring_setup": {"entries": (0, parse_number)},
    "settimeofday": {"tv": (0, parse_address), "tz": (1, parse_address)},
    "clock_settime": {"which_clock": (0, _plain), "tp": (1, parse_address)},
    "reboot": {"magic1": (0, _named), "magic2": (1, _named), "cmd": (2, _plain)},
    "acct": {"filename": (0, parse_string)},
    "syslog": {"cmd": (0, _named), "len": (2, parse_number)},
    "ioperm": {
        "from_port": (0, parse_address), "num": (1, parse_number), "turn_on": (2, parse_number),
    },
    "iopl": {"level": (0, parse_number)},
}  # fmt: skip
"""Where the fields of our events stand among strace's arguments, and how to read them there."""

LEGACY = (
    "open", "creat", "chmod", "unlink", "rename", "link", "symlink", "mknod", "chown", "lchown",
    "dup2", "utime", "utimes", "futimesat", "ioperm", "iopl",
)  # fmt: skip
"""Calls that only x86-64 has."""


def fields_of(call: Call) -> dict[str, object]:
    """Return a call's arguments by the names of our fields.

    strace prints the mode of an open only where the call uses it: it is left out else.
    """
    found: dict[str, object] = {}
    for name, (index, read) in ARGUMENTS[call.name].items():
        if index >= len(call.arguments):
            continue
        value = read(call.arguments[index])
        if isinstance(value, dict):
            found |= value
        else:
            found[name] = value
    return found
