"""What strace has seen: a parser of its output.

strace must be run with OPTIONS and -o FILE: each byte of a string is printed in hexadecimal, so
that no string can look like syntax, and each number that has names with the names behind it, as in
`0x241 /* O_WRONLY|O_CREAT|O_TRUNC */`.
"""

from __future__ import annotations

import errno
import functools
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPTIONS = ("-f", "-X", "verbose", "-xx", "-s", "4096", "-e", "signal=none")

_LINE = re.compile(r"(?P<tid>\d+) +(?P<rest>.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_MOVED = re.compile(r" <pid changed to (?P<tid>\d+) \.\.\.>$")
_SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid (?P<tid>\d+) \+\+\+")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>")
_CALL = re.compile(r"(?P<name>\w+|\?\?\?)\((?P<arguments>.*)\)\s+= (?P<result>.*)")
_STRING = re.compile(r'@?"(?P<bytes>(?:\\x[0-9a-f]{2})*)"(?P<cut>\.\.\.)?')
_KERNEL_ONLY = {
    "ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ERESTARTNOHAND": 514, "ENOIOCTLCMD": 515,
    "ERESTART_RESTARTBLOCK": 516, "EPROBE_DEFER": 517, "EOPENSTALE": 518, "ENOPARAM": 519,
    "EBADHANDLE": 521, "ENOTSYNC": 522, "EBADCOOKIE": 523, "ENOTSUPP": 524, "ETOOSMALL": 525,
    "ESERVERFAULT": 526, "EBADTYPE": 527, "EJUKEBOX": 528, "EIOCBQUEUED": 529,
    "ERECALLCONFLICT": 530,
}  # fmt: skip
"""Errors that no program sees: include/linux/errno.h."""


@dataclass(frozen=True)
class Call:
    """A call as strace prints it; `ret` is None where strace could not tell."""

    tid: int
    name: str
    arguments: tuple[str, ...]
    ret: int | None
    returned: bool = True


def read_calls(path: Path) -> list[Call]:
    """Return the calls in the order of their end, those that never ended last.

    A thread that replaces its process by execve goes on under the process's first thread's id: the
    call counts as that of the thread that made it.
    """
    begun: dict[tuple[int, str], tuple[int, str]] = {}
    calls = []
    for line in path.read_text("ascii").splitlines():
        match = _LINE.fullmatch(line)
        assert match, f"not a line of strace -f: {line!r}"
        tid, rest = int(match["tid"]), match["rest"]
        if taken_over := _SUPERSEDED.fullmatch(rest):
            other = int(taken_over["tid"])
            begun[tid, "execve"] = begun.pop((other, "execve"), None) or begun[tid, "execve"]
        elif rest.startswith(("+++", "---")):
            continue
        elif moved := _MOVED.search(rest):
            begun[int(moved["tid"]), _name_of(rest)] = tid, rest[: moved.start()]
        elif rest.endswith(_UNFINISHED) and not _RESUMED.match(rest):
            begun[tid, _name_of(rest)] = tid, rest.removesuffix(_UNFINISHED)
        elif resumed := _RESUMED.match(rest):
            caller, start = begun.pop((tid, resumed["name"]))
            calls.append(_parse_call(caller, start + rest[resumed.end() :]))
        else:
            calls.append(_parse_call(tid, rest))
    calls += (_parse_call(tid, f"{start}) = ? <gone>") for tid, start in begun.values())
    return calls


def _name_of(text: str) -> str:
    """Return the call's name, which stands before its arguments."""
    return text.partition("(")[0]


def _parse_call(tid: int, text: str) -> Call:
    match = _CALL.fullmatch(text.replace(f"{_UNFINISHED})", ")"))
    assert match, f"not a call: {text!r}"
    arguments = tuple(split_arguments(match["arguments"]))
    result = match["result"]
    returned = result not in ("?", "? <gone>", f"?{_UNFINISHED}", "? <unavailable>")
    return Call(tid, match["name"], arguments, _parse_result(result), returned)


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
    return _integer(value)


def split_arguments(text: str) -> Iterator[str]:
    """Yield what stands between commas that are in no bracket and no comment."""
    for part in _split(text, ","):
        if part.strip():
            yield part.strip()


_COMMENT = re.compile(r"/\*(?:[^/*]|/\*[^/*]*\*/)*\*/")
"""A comment, in which others may lie."""


def _split(text: str, separator: str) -> Iterator[str]:
    """Yield the pieces of `text`; what is in brackets or comments separates nothing."""
    depth, start, at = 0, 0, 0
    while at < len(text):
        char = text[at]
        if comment := _COMMENT.match(text, at):
            at = comment.end()
            continue
        depth += (char in "([{") - (char in ")]}")
        if char == separator and not depth:
            yield text[start:at]
            start = at + 1
        at += 1
    yield text[start:]


@dataclass(frozen=True)
class Number:
    """A number, and the names that strace gives it; None where it has none."""

    value: int
    names: str | None = None


_COMMENTED = re.compile(r"(?P<number>[^ ]+) /\* (?P<names>.*) \*/")
_UNKNOWN = re.compile(r" /\* \w*\?\?\?\w* \*/")
_PLAIN = re.compile(r"-?[0-9]+|0x[0-9a-f]+|NULL")
_NETWORK = re.compile(r"htons\((?P<number>.*)\)")
_DEVICE = re.compile(r"makedev\((0x[0-9a-f]+|0), (0x[0-9a-f]+|0)\)")


def parse_number(text: str) -> Number | None:
    """Return the number that `text` is, which may be several joined by |; None for anything else.

    The comment behind a number that has no name, such as `AF_???` or `8192*1024`, is no name.
    """
    parts = [_parse_part(part.strip()) for part in _split(text, "|")]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    value = functools.reduce(operator.or_, (part.value for part in found))
    names = [part.names or hex(part.value) for part in found]
    return Number(value, "|".join(names) if any(part.names for part in found) else None)


def _parse_part(text: str) -> Number | None:
    if commented := _COMMENTED.fullmatch(text):
        number, names = commented["number"], commented["names"]
        if not _PLAIN.fullmatch(number):
            return None
        known = _UNKNOWN.sub("", names)
        return Number(_integer(number), known if _is_names(known) else None)
    if network := _NETWORK.fullmatch(text):
        found = _parse_part(network["number"])
        return found and Number(*_swap(found))
    if device := _DEVICE.fullmatch(text):
        major, minor = (int(part, 16) for part in device.groups())
        return Number(minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)
    return Number(_integer(text)) if _PLAIN.fullmatch(text) else None


_NAMES = re.compile(r"[\w|<]+|(QCMD|makedev|_IOC)\([\w|, ]+\)")


def _swap(found: Number) -> tuple[int, str | None]:
    """Return a number of two bytes in network order, and its name."""
    value = (found.value & 0xFF) << 8 | found.value >> 8
    return value, found.names and f"htons({found.names})"


def _is_names(comment: str) -> bool:
    return bool(_NAMES.fullmatch(comment)) and not _PLAIN.fullmatch(comment)


def _integer(text: str) -> int:
    if text == "NULL":
        return 0
    octal = text.lstrip("-").startswith("0") and text.lstrip("-").isdigit()
    return int(text, 8) if octal else int(text, 0)


@dataclass(frozen=True)
class Text:
    """A string of which strace may have cut the end."""

    value: bytes
    cut: bool = False


def parse_string(text: str) -> Text | None:
    """Return a string; None for a pointer, which strace prints where it can't read."""
    match = _STRING.fullmatch(text)
    if match is None:
        return None
    sign = b"@" if text.startswith("@") else b""
    return Text(sign + bytes.fromhex(match["bytes"].replace("\\x", "")), bool(match["cut"]))


def parse_list(text: str) -> list[str] | None:
    """Return the elements of a list in brackets."""
    return list(split_arguments(text[1:-1])) if text.startswith("[") else None


def parse_struct(text: str) -> dict[str, str]:
    """Return the members of a structure in braces by their names; none for anything else."""
    if not (text.startswith("{") and text.endswith("}")):
        return {}
    found = {}
    for member in split_arguments(text[1:-1]):
        name, equals, value = member.partition("=")
        if equals:
            found[name] = value
    return found
