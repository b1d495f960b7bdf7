"""Random typed expressions, as they are written, and values that come near their constants."""

from __future__ import annotations

import importlib
import ipaddress
import pkgutil
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hostc
from hypothesis import strategies as st

from etracee import types
from etracee.catalog.model import Derivation, Field, LookUp, PartOf
from etracee.enrich import Host
from etracee.event import EventLayout, Slot
from etracee.fragments import Py
from etracee.operators import Operator, all_operators
from etracee.operators.base import Takes
from etracee.types import Kind, Type
from etracee.types.descriptor import DescriptorPath
from etracee.types.flags import Flags
from etracee.types.mode import Mode
from etracee.types.sockaddr import SocketAddress

ALPHABET = b"ab/.*?\\\"'\x01\n\x7f\xc3\xff"
LENGTHS = (0, 1, 2, 3, 7, 8, 9, 14, 15, 16, 17, 24, 63, 64, 65, 255, 256, 257)
PATTERNS = (
    r"a",
    r"^/a",
    r"a$",
    r"\xff",
    r"^$",
    r"b\b",
    r"[^a]",
    r"(a|b/)+\.",
    r"^(a*)*b\z",
    r"(?i)AB",
)
LONG_LIST = 24
"""Elements of a list that becomes a trie."""
ADDRESSES = (
    "10.0.0.1",
    "10.255.255.255",
    "11.0.0.0",
    "0.0.0.0",
    "::",
    "::1",
    "fe80::1",
    "::ffff:10.0.0.1",
)


@dataclass
class Constants:
    """Constants of an expression by field, for values that come near them."""

    texts: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    addresses: list[int] = field(default_factory=list)


def quote(value: bytes) -> str:
    """Write bytes as a quoted word; what is not a letter or digit is escaped."""
    shown = (chr(b) if chr(b).isascii() and chr(b).isalnum() else f"\\x{b:02x}" for b in value)
    return f'"{"".join(shown)}"'


def texts(longest: int = 257) -> st.SearchStrategy[bytes]:
    """Return bytes without a NUL, of lengths near to what is special."""
    lengths = st.sampled_from([length for length in LENGTHS if length <= longest])
    few = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=6).map(bytes)
    return st.tuples(lengths, few).map(lambda pair: (pair[1] * (pair[0] + 1))[: pair[0]])


def bounds(kind: Type) -> tuple[int, int]:
    """Return the least and the greatest number that the kind's slot holds."""
    bits = kind.storage.size * 8
    if kind.storage.code.islower():
        return -(1 << bits - 1), (1 << bits - 1) - 1
    return 0, (1 << bits) - 1


def numbers(kind: Type) -> st.SearchStrategy[int]:
    """Return numbers of the kind's slot, those at the edges of C's types often."""
    low, high = bounds(kind)
    edges = {low, low + 1, high, high - 1, 0, 1, 2, -1, -2}
    for bits in (7, 8, 15, 16, 31, 32, 63, 64):
        edges |= {(1 << bits) - 1, 1 << bits, -(1 << bits), (1 << bits) + 1}
    inside = sorted(number for number in edges if low <= number <= high)
    return st.one_of(st.sampled_from(inside), st.integers(low, high))


@st.composite
def expressions(draw: st.DrawFn, fields: Mapping[str, Field], known: Constants) -> str:
    """Return an expression over these fields; its constants are added to `known`."""
    names = st.sampled_from(sorted(name for name, f in fields.items() if _can_be_compared(f)))
    count = draw(st.integers(1, 5))
    parts = [draw(comparisons(fields[draw(names)], known)) for _ in range(count)]
    while len(parts) > 1:
        left, right = parts.pop(), parts.pop(0)
        word = draw(st.sampled_from(["and", "or"]))
        joined = f"({left} {word} {right})"
        parts.append(f"not {joined}" if draw(st.booleans()) else joined)
    return parts[0]


def _can_be_compared(field: Field) -> bool:
    return field.kind is Kind.TRUTH or any(
        field.kind in op.kinds for op in all_operators().values()
    )


@st.composite
def comparisons(draw: st.DrawFn, field: Field, known: Constants) -> str:
    """Return a comparison of the field, or a boolean field alone; sometimes negated."""
    negation = "not " if draw(st.integers(0, 3)) == 0 else ""
    if field.kind is Kind.TRUTH:
        return negation + field.name
    fitting = [op for op in all_operators().values() if field.kind in op.kinds]
    operator = draw(st.sampled_from(sorted(fitting, key=lambda op: op.symbol)))
    return (
        f"{negation}{field.name} {operator.symbol} {draw(operands(operator, field, known))}".strip()
    )


@st.composite
def operands(draw: st.DrawFn, operator: Operator, field: Field, known: Constants) -> str:
    """Return what stands behind the operator."""
    if operator.takes is Takes.NOTHING:
        return ""
    if operator.takes is Takes.ONE or (operator.takes is Takes.ONE_OR_MANY and draw(st.booleans())):
        return draw(words(operator, field, known))
    most = draw(st.sampled_from([4, 4, 4, LONG_LIST]))
    several = st.lists(words(operator, field, known), min_size=1, max_size=most)
    return f"({', '.join(draw(several))})"


@st.composite
def words(draw: st.DrawFn, operator: Operator, field: Field, known: Constants) -> str:
    """Return one value, as `operator` takes it of this field."""
    kind = field.type
    if operator.symbol == "matches":
        return f"'{draw(st.sampled_from(PATTERNS)).replace(chr(92), chr(92) * 2)}'"
    if field.kind is Kind.ADDRESS:
        return draw(_networks(known, whole=operator.takes is Takes.ONE))
    if field.kind in (Kind.TEXT, Kind.TEXTS):
        text = draw(texts(20 if kind.storage.array else 257))
        known.texts[field.name].append(text)
        return quote(text)
    number = draw(numbers(kind))
    known.numbers[field.name].append(number)
    if isinstance(kind, Mode):
        return f"{number:o}"
    if isinstance(kind, Flags) and kind.names and draw(st.booleans()):
        return draw(st.sampled_from([name for name, _, _ in kind.names]))
    if operator.takes is Takes.MANY and draw(st.booleans()):
        last = draw(st.integers(number, min(number + (1 << 33), bounds(kind)[1])))
        known.numbers[field.name].append(last)
        return f"{number}..{last}"
    return str(number)


@st.composite
def _networks(draw: st.DrawFn, known: Constants, *, whole: bool) -> str:
    address = ipaddress.ip_address(draw(st.sampled_from(ADDRESSES)))
    known.addresses.append(int(address))
    if whole:
        return str(address)
    prefix = draw(st.integers(0, address.max_prefixlen))
    return str(ipaddress.ip_network((int(address), prefix), strict=False))


@dataclass
class Sample:
    """A record's values by field, those of parts among them, and the names of cut ones."""

    values: dict[str, Any]
    cut: tuple[str, ...]
    packed: dict[str, Any]
    """What lies in the slots."""


@st.composite
def samples(
    draw: st.DrawFn, layout: EventLayout, fields: Mapping[str, Field], known: Constants
) -> Sample:
    """Return values for all slots of the layout, often near the constants."""
    packed: dict[str, Any] = {}
    cut: list[str] = []
    for slot in layout.slots:
        if slot.name in hostc.HEADER:
            continue
        value = draw(_values(fields[slot.name], slot, known))
        if isinstance(value, bytes) and slot.limit and len(value) >= slot.limit:
            value = value[: slot.limit]
            cut += [slot.name] if draw(st.booleans()) else []
        packed[slot.name] = value
    return sample_of(fields, packed, cut)


def sample_of(fields: Mapping[str, Field], packed: dict[str, Any], cut: list[str]) -> Sample:
    """Return the sample of what lies in the slots."""
    values = {name: decoded(fields[name], value) for name, value in packed.items()}
    for name, part in fields.items():
        if isinstance(part.origin, PartOf) and part.origin.whole in packed:
            raw = values[part.origin.whole]
            values[name] = (
                None if raw is None else part.origin.part.python(raw, *part.origin.part.given)
            )
        if isinstance(part.origin, LookUp) and not part.is_fed and set(part.wholes) <= set(packed):
            given = [values[name] for name in part.wholes]
            look_up = getattr(HOST, part.origin.method)
            values[name] = None if None in given else look_up(*given)
    return Sample(values, tuple(cut), packed)


HOST = Host()
"""What fields are looked up by that depend on their own record alone."""


def decoded(field: Field, value: Any) -> Any:
    """Return what a slot's value is to the operators."""
    if value is None:
        return None
    source = field.type.decode(Py("value"))
    modules = {info.name for info in pkgutil.iter_modules(types.__path__)} & set(source.split("."))
    found = {name: importlib.import_module(f"etracee.types.{name}") for name in modules}
    return eval(source, found, {"value": value})


@st.composite
def _values(draw: st.DrawFn, field: Field, slot: Slot, known: Constants) -> Any:
    if slot.storage.variable and draw(st.integers(0, 9)) == 0:
        return None
    special = _SPECIAL.get(field.type.capture)
    if special is not None:
        value = draw(special(field, known))
        return value[: slot.limit] if slot.storage.variable else value
    if field.kind is Kind.TEXT:
        size = slot.storage.array
        text = draw(_near_texts(known.texts[field.name]))
        if draw(st.integers(0, 4)) == 0:
            text = (text or b"a") * (1 + slot.limit // max(len(text), 1))
        return text[: size - 1] if size else text[: slot.limit]
    return draw(_near_numbers(field, known))


@st.composite
def _vectors(draw: st.DrawFn, field: Field, known: Constants) -> bytes:
    elements = draw(st.lists(_near_texts(known.texts[field.name]), max_size=4))
    return b"".join(element + b"\0" for element in elements)


@st.composite
def _wait_statuses(draw: st.DrawFn, _field: Field, _known: Constants) -> int:
    return draw(st.one_of(st.integers(0, 0xFFFF), st.integers(0, 255).map(lambda c: c << 8)))


@st.composite
def _bytes(draw: st.DrawFn, field: Field, known: Constants) -> bytes:
    is_address = isinstance(field.type, SocketAddress)
    return draw((_socket_addresses if is_address else _structures)(field, known))


@st.composite
def _structures(draw: st.DrawFn, field: Field, known: Constants) -> bytes:
    """Return bytes in which numbers near the constants lie, often cut."""
    near = [n + d for name in field.type.parts for n in known.numbers[name] for d in (-1, 0, 1)]
    fitting = [n for n in near if -(1 << 63) <= n < 1 << 64]
    words = st.one_of(st.sampled_from([*fitting, 0]), st.integers(0, (1 << 64) - 1))
    raw = b"".join(
        struct.pack("<Q", word & 0xFFFFFFFFFFFFFFFF) for word in draw(st.lists(words, max_size=8))
    )
    return raw[: draw(st.sampled_from([64, 64, 64, 0, 1, 3, 4, 8, 15, 16, 24]))]


@st.composite
def _near_texts(draw: st.DrawFn, constants: list[bytes]) -> bytes:
    if not constants or draw(st.integers(0, 4)) == 0:
        return draw(texts())
    constant = draw(st.sampled_from(constants))
    other = draw(st.sampled_from([b"", b"a", b"/", b"ab/", *constants]))
    glob = constant.replace(b"*", other).replace(b"?", b"a")
    near = (constant, constant[:-1], constant[1:], constant + other, other + constant, glob)
    return draw(st.sampled_from([*near, other + constant + other]))


@st.composite
def _paths(draw: st.DrawFn, field: Field, known: Constants) -> bytes:
    """Return a path as it lies in a record: the kernel's, or texts to be joined, or neither."""
    constants = known.texts[field.name]
    text, directory = draw(_near_texts(constants)), draw(_near_texts(constants))
    above, name = draw(st.sampled_from([b"", b"/jail\0"])), draw(_near_texts(constants))
    joined = b"\0" + name + b"\0" + above + directory
    return draw(st.sampled_from([b"/" + text, joined, b"\0"]))


@st.composite
def _kernel_paths(draw: st.DrawFn, field: Field, known: Constants) -> bytes:
    """Return a path as it lies in a record; of descriptors, also what else they may lead to."""
    path = b"/" + draw(_near_texts(known.texts[field.name]))
    others = [struct.pack("<xIQ", magic, 7) + b"[eventfd]" for magic in (0x50495045, 0x09041934, 1)]
    is_any = isinstance(field.type, DescriptorPath)
    return draw(st.sampled_from([path, path, b"\0", *(others if is_any else [])]))


@st.composite
def _endpoints(draw: st.DrawFn, _field: Field, known: Constants) -> bytes:
    """Return `struct endpoints` as read_endpoints() in templates/bpf/socket.c.j2 leaves it."""
    numbers = [p + d for n in known.numbers.values() for p in n for d in (-1, 0, 1)]
    number = st.sampled_from([*(p for p in numbers if 0 <= p < 65536), 0, 22, 65535])
    around = [a + d for a in known.addresses for d in (-1, 0, 1) if 0 <= a + d < 1 << 128]
    address = st.one_of(st.sampled_from([*around, 1]), st.integers(0, (1 << 128) - 1))
    is_socket, has_addresses = draw(st.sampled_from([(1, 1), (1, 1), (1, 0), (0, 0)]))
    words = [draw(number) * is_socket for _ in range(5)]
    ends = [(draw(address) * has_addresses).to_bytes(16, "big") for _ in range(2)]
    return struct.pack("<HHHHHHI16s16s", is_socket, *words, has_addresses, *ends)


@st.composite
def _near_numbers(draw: st.DrawFn, field: Field, known: Constants) -> int:
    low, high = bounds(field.type)
    constants = known.numbers[field.name]
    if not constants or draw(st.integers(0, 3)) == 0:
        return draw(numbers(field.type))
    constant = draw(st.sampled_from(constants))
    return min(max(constant + draw(st.sampled_from([-1, 0, 0, 1])), low), high)


@st.composite
def _socket_addresses(draw: st.DrawFn, _field: Field, known: Constants) -> bytes:
    numbers = [p + d for n in known.numbers.values() for p in n for d in (-1, 0, 1)]
    number = draw(st.sampled_from([*(p for p in numbers if 0 <= p < 65536), 0, 22, 65535]))
    around = [a + d for a in known.addresses for d in (-1, 0, 1) if 0 <= a + d < 1 << 128]
    address = draw(st.one_of(st.sampled_from([*around, 1]), st.integers(0, (1 << 128) - 1)))
    family = draw(st.sampled_from([socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 0, 16]))
    raw = struct.pack("<H", family)
    if family == socket.AF_INET:
        raw += struct.pack(">HI", number, address & 0xFFFFFFFF) + bytes(8)
    elif family == socket.AF_INET6:
        raw += struct.pack(">HI", number, 0) + address.to_bytes(16, "big") + bytes(4)
    else:
        raw += draw(st.sampled_from([b"", b"\0", b"\0abstract", b"/run/x\0\xff", b"a" * 108]))
    return raw[: draw(st.sampled_from([200, 200, 200, 0, 1, 2, 3, 4, 7, 8, 23, 24]))]


_SPECIAL: Mapping[str, Callable[[Field, Constants], st.SearchStrategy[Any]]] = {
    "bytes": _bytes,
    "cgroup": _vectors,
    "descriptor_path": _kernel_paths,
    "endpoints": _endpoints,
    "kernel_path": _kernel_paths,
    "path": _paths,
    "strings": _vectors,
    "wait_status": _wait_statuses,
}
"""What lies in slots, by what captures it, where its kind does not say."""


def comparable(fields: Mapping[str, Field]) -> dict[str, Field]:
    """Return the fields that an expression may name with a value or alone.

    What depends on other events is left out.
    """
    return {
        name: f
        for name, f in fields.items()
        if (f.kind is not Kind.OPAQUE or isinstance(f.origin, Derivation)) and not f.is_fed
    }
