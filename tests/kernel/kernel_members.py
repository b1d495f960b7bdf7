"""What strace prints of a part: a member of a structure, an address, the length of buffers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import kernel_members_of_processes as processes
from kernel_strace import parse_list, parse_number, parse_struct

_COMMENT = re.compile(r" /\* [^/]* \*/$")

Way = tuple[int | str, ...]
"""Steps to a value: positions in lists, names of members."""

_HEADER = (0, "msg_hdr")
_WAYS: Mapping[str, tuple[Way, ...]] = {
    **processes.WAYS,
    "fd0": ((0,),),
    "fd1": ((1,),),
    "option_value": ((0,),),
    "atime_sec": ((0, "tv_sec"), ("actime",)),
    "atime_nsec": ((0, "tv_nsec"),),
    "atime_usec": ((0, "tv_usec"),),
    "mtime_sec": ((1, "tv_sec"), ("modtime",)),
    "mtime_nsec": ((1, "tv_nsec"),),
    "mtime_usec": ((1, "tv_usec"),),
    "owner_type": (("type",),),
    "owner_pid": (("pid",),),
    "mount_id": ((0,),),
    "pidfd_address": (("pidfd",),),
    "child_tidptr": (("child_tid",),),
    "parent_tidptr": (("parent_tid",),),
    "cgroup_fd": (("cgroup",),),
    "in_offset": ((0,),),
    "out_offset": ((0,),),
    "node_mask": ((0,),),
    "msg_len": ((0, "msg_len"),),
    "cmsg_level": ((0, "cmsg_level"),),
    "cmsg_type": ((0, "cmsg_type"),),
    **{
        name: ((name,), (*_HEADER, name))
        for name in ("msg_namelen", "msg_iovlen", "msg_controllen", "msg_flags")
    },
}
"""Where strace has a member, if not under the field's own name."""
POINTED = {0: "msg_name", 16: "msg_iov", 32: "msg_control"}
"""Members of `struct msghdr` that point to something, by their offset."""


def follow(text: str | None, way: Way) -> str | None:
    """Return what lies at the end of the way in a printed value, None where it ends before."""
    for step in way:
        if text is None:
            return None
        if isinstance(step, int):
            elements = parse_list(text.rpartition("] => ")[2]) or []
            text = elements[step] if step < len(elements) else None
        else:
            text = parse_struct(_struct(text)).get(step)
    return text


def _struct(text: str) -> str:
    """Return a structure as it was passed, without what the call has left and without a comment."""
    passed, arrow, _ = text.partition("} => ")
    return _COMMENT.sub("", passed + arrow[:1])


def pointed(text: str | None, at: int) -> str | None:
    """Return what the pointer at byte `at` of a `struct msghdr`, or of the first of many, tells."""
    names = (POINTED[at],), (*_HEADER, POINTED[at]), ("pathname",)
    return next((found for way in names if (found := follow(text, way)) is not None), None)


def _member_of_structure(text: str, name: str) -> str | None:
    found = (follow(text, way) for way in _WAYS.get(name, ((name,),)))
    text_found = next((each for each in found if each is not None), None)
    return text_found and text_found.rpartition(" => ")[2]


def _member_of_address(text: str, name: str) -> str | None:
    members = parse_struct(text)
    if name == "family":
        return members.get("sa_family")
    if name == "port":
        port = re.search(r"sin6?_port=[^,]*htons\((\d+)\)", text)
        return port[1] if port else members.get("svm_port")
    if name == "addr":
        address = re.search(r'(?:inet_addr\(|inet_pton\([^,]*, )("[^"]*")', text)
        return address and address[1]
    if name in _IN_NETWORK_ORDER:
        swapped = re.search(_IN_NETWORK_ORDER[name], text)
        return swapped and swapped[1]
    return members.get(_ADDRESS.get(name, name))


_IN_NETWORK_ORDER = {
    "flowinfo": r"sin6_flowinfo=[^,]*htonl\((\d+)\)",
    "packet_protocol": r"sll_protocol=[^,]*(htons\([^)]*\))",
}
_ADDRESS = {
    "scope_id": "sin6_scope_id",
    "cid": "svm_cid",
    "ifindex": "sll_ifindex",
}


def _member_of_buffers(text: str, name: str) -> str | None:
    elements = parse_list(text)
    if elements is None:
        return None
    if not name.endswith("_len"):
        first = parse_struct(elements[0]).get("iov_base", "") if elements else ""
        return first if parse_number(first) is not None else None
    lengths = [parse_number(parse_struct(each).get("iov_len", "")) for each in elements]
    if None in lengths:
        return None
    return str(sum(length.value for length in lengths if length is not None) % (1 << 64))


MEMBERS: Mapping[str, Callable[[str, str], str | None]] = {
    "SocketAddress": _member_of_address,
    "OpenHow": lambda text, name: parse_struct(text).get(name),
    "Structure": _member_of_structure,
    "Buffers": _member_of_buffers,
    **processes.MEMBERS,
}
"""By the type of a whole: what strace prints of its part of some name."""
