"""The catalog against itself, the kernel's own description of its calls, and Python's constants."""

from __future__ import annotations

import errno
import fcntl
import functools
import keyword
import os
import re
import signal
import socket
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from etracee.catalog import EventType, load_catalog
from etracee.catalog.families import read_families
from etracee.catalog.load import DURATION, architectures
from etracee.catalog.model import SYSCALL, Argument, Derivation, Field, FileOf, InRequest, PartOf
from etracee.catalog.read import DATA
from etracee.event import Event
from etracee.plan.attach import CALLS as SLOTS
from etracee.plan.layout import HEADER
from etracee.plan.resolve_rules import ENVELOPE
from etracee.profile.families import families_of
from etracee.types import Kind
from etracee.types.flags import Flags

ARCHES = architectures()
EVENTS = [(arch, event) for arch in ARCHES for event in load_catalog(arch).events.values()]
CALLS = [(arch, event) for arch, event in EVENTS if event.number is not None]
X86_CALLS = [event for arch, event in CALLS if arch == "x86_64"]
FORMATS = Path("/sys/kernel/tracing/events/syscalls")
HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), "__NR_"),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"), "__NR_|__NR3264_"),
}
CLASS = "texts", "context", "nested"
"""What the class of an event says of its fields."""
SPARE = "alert", "lost", "count"
"""Types of lines that are no events."""

each_event = pytest.mark.parametrize(
    ("arch", "event"), EVENTS, ids=[f"{arch}-{event.name}" for arch, event in EVENTS]
)


@pytest.mark.parametrize("arch", ARCHES)
def test_one_name_has_one_meaning(arch: str) -> None:
    """A filter over all events may name a field once; the store has one column for it."""
    meanings: dict[str, set[object]] = defaultdict(set)
    for event in load_catalog(arch).events.values():
        for field in event.fields.values():
            storage = field.type.storage.variable
            meanings[field.name].add((field.kind, field.doc, type(field.type), storage))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


@each_event
def test_no_name_is_taken(arch: str, event: EventType) -> None:
    header = {name for name, _ in HEADER}
    taken = {*load_catalog(arch).context, *ENVELOPE, *header, *CLASS, "truncated", "raw", "fires"}
    assert taken.isdisjoint(event.fields)
    assert not any(keyword.iskeyword(name) for name in event.fields), "they are attributes"
    assert not any(hasattr(Event, name) for name in {**load_catalog(arch).context, **event.fields})
    assert event.name not in SPARE


NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)*")


@pytest.mark.parametrize("arch", ARCHES)
def test_names_are_told_apart_as_identifiers(arch: str) -> None:
    """In C and Python a dot is two underscores; capitals are left to names of ours."""
    catalog = load_catalog(arch)
    fields = {name for event in catalog.events.values() for name in event.fields}
    events = (name.removeprefix("_") for name in catalog.events)  # the call _sysctl
    for name in (*fields, *catalog.context, *events):
        assert NAME.fullmatch(name)


@each_event
def test_no_field_is_a_value_and_an_object(arch: str, event: EventType) -> None:
    """Dotted names nest in JSON: `parent.comm` leaves no room for a field `parent`."""
    names = {*load_catalog(arch).context, *event.fields, *ENVELOPE, "truncated", "raw"}
    dots = [(name, at) for name in names for at, char in enumerate(name) if char == "."]
    assert names.isdisjoint(name[:at] for name, at in dots)


@each_event
def test_event_is_described(arch: str, event: EventType) -> None:
    assert re.fullmatch(r"[A-Z].*\.", event.doc, re.DOTALL)
    assert event.default or not set(event.fields) - {"ret", "error", DURATION}
    assert set(event.default) <= set(event.fields)
    assert len(set(event.default)) == len(event.default)
    for field in event.fields.values():
        assert re.fullmatch(r"[A-Z].*\.", field.doc, re.DOTALL), field.name


@each_event
def test_every_field_is_in_reach(arch: str, event: EventType) -> None:
    """Arguments count from 0 without a gap; parts and derived fields have what they need."""
    indices = [f.origin.index for f in event.fields.values() if isinstance(f.origin, Argument)]
    assert indices == list(range(len(indices)))
    assert len(indices) <= len(load_catalog(arch).registers.arguments)
    for field in event.fields.values():
        if isinstance(field.origin, PartOf):
            assert field.origin.whole in event.fields
        if isinstance(field.origin, Derivation):
            words = set(re.findall(r"[a-z_]+", field.origin.expression))
            assert words & set(event.fields)


NAMES_OF_FILES = {"filename", "oldname", "newname", "dir_name", "new_root"}


@each_event
def test_every_call_that_names_a_file_has_its_path(arch: str, event: EventType) -> None:
    """And each path is told by arguments that can tell it: names, and numbers of descriptors."""
    told = {
        field.origin.index if isinstance(field.origin, Argument) else field.origin: field
        for field in event.fields.values()
        if isinstance(field.origin, Argument | InRequest)
    }
    if NAMES_OF_FILES & set(event.fields):
        assert "path" in event.fields
    if "newname" in event.fields:
        assert "new_path" in event.fields
    for field in event.fields.values():
        if isinstance(field.origin, FileOf):
            origin = field.origin
            assert origin.name is None or told[origin.name].kind is Kind.TEXT
            for index in (origin.at, origin.fd):
                assert index is None or told[index].kind is Kind.NUMBER
            assert (origin.name, origin.fd, origin.result) != (None, None, None)


@pytest.mark.parametrize("arch", ARCHES)
def test_numbers_are_used_once(arch: str) -> None:
    numbers = [event.number for a, event in CALLS if a == arch and event.number is not None]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < SLOTS, "each has a slot of its own"


@pytest.mark.parametrize("arch", ARCHES)
def test_context_is_described(arch: str) -> None:
    for field in load_catalog(arch).context.values():
        assert re.fullmatch(r"[A-Z].*\.", field.doc)


def test_families_are_those_of_events() -> None:
    for arch in ARCHES:
        catalog = load_catalog(arch)
        for family, events in catalog.families.items():
            assert events
            assert set(events) <= set(catalog.events), family


def test_what_is_said_of_families_is_of_families() -> None:
    """Of each that there is, and siblings are members of it, on some architecture."""
    families: dict[str, set[str]] = defaultdict(set)
    for arch in ARCHES:
        for name, events in families_of(load_catalog(arch)).items():
            families[name].update(events)
    written = read_families()
    assert set(written) == set(families)
    for name, entry in written.items():
        assert re.fullmatch(r"[A-Z].*\.", entry.doc), name
        assert entry.siblings != "all" or len(families[name]) > 1
        for group in () if entry.siblings == "all" else entry.siblings:
            assert len(group) > 1 and families[name].issuperset(group), name


@pytest.mark.parametrize("event", X86_CALLS, ids=lambda event: event.name)
def test_arguments_are_the_kernels(event: EventType) -> None:
    """Names and order, as the running kernel describes them; the catalog may leave out the last."""
    told = _arguments_of_kernel(event.tracepoint)
    origins = [f.origin for f in event.fields.values() if isinstance(f.origin, Argument)]
    assert [origin.kernel_name for origin in origins] == [name for _, name in told]


FOUR_BYTES = {"int", "unsigned", "unsigned int", "u32", "__u32", "__s32", "pid_t", "uid_t", "gid_t"}
FOUR_BYTES |= {"key_t", "key_serial_t", "clockid_t", "timer_t", "mqd_t", "qid_t", "rwf_t"}
FOUR_BYTES |= {"enum landlock_rule_type"}
TWO_BYTES = {"umode_t"}
POINTERS = {"cap_user_header_t", "cap_user_data_t"}
"""Types whose name does not say that they are pointers."""
NARROWED = {("unsigned long", "fd")}
"""The kernel takes the low half of a descriptor: ksys_mmap_pgoff(), do_readv()."""


@pytest.mark.parametrize("event", X86_CALLS, ids=lambda event: event.name)
def test_arguments_are_as_wide_as_the_kernels(event: EventType) -> None:
    """What the kernel does not look at may hold anything: an int is the low half of a register."""
    told = _arguments_of_kernel(event.tracepoint)
    fields = [f for f in event.fields.values() if isinstance(f.origin, Argument)]
    for (c_type, name), field in zip(told, fields, strict=True):
        plain, storage = c_type.removeprefix("const "), field.type.storage
        if "*" in c_type or plain in POINTERS:
            assert storage.variable or storage.c_type == "u64", f"{name} is a pointer"
        elif (plain, name) not in NARROWED:
            size = 4 if plain in FOUR_BYTES else 2 if plain in TWO_BYTES else 8
            assert storage.size == size, f"{name} is of type {c_type}"


def test_every_call_of_the_kernel_is_there() -> None:
    """Whatever call has a tracepoint is an event."""
    told = {path.name.removeprefix("sys_enter_") for path in FORMATS.glob("sys_enter_*")}
    if not told:
        _cannot_ask("any call", "no tracepoints")
    assert told <= {event.tracepoint for event in X86_CALLS}


def _arguments_of_kernel(name: str) -> list[tuple[str, str]]:
    """Return type and name of each argument."""
    try:
        text = (FORMATS / f"sys_enter_{name}" / "format").read_text()
    except OSError as error:
        if name in _left_out():
            pytest.skip(f"this kernel was built without {name}")
        _cannot_ask(name, str(error.strerror))
    fields = re.findall(r"field:([^;]*?)\s*(\w+);\s+offset:(\d+);", text)
    return [(c_type, name) for c_type, name, offset in fields if int(offset) >= 16]


def _cannot_ask(name: str, reason: str) -> None:
    reason = f"tracefs does not tell of {name}: {reason}"
    if os.environ.get("ETRACEE_KERNEL_TESTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@functools.cache
def _left_out() -> set[str]:
    """Return the calls in whose place the kernel has a weak symbol: kernel/sys_ni.c."""
    found = re.findall(r" W __\w+?_sys_(\w+)$", Path("/proc/kallsyms").read_text(), re.MULTILINE)
    return {*found, *_retired()}


def _retired() -> set[str]:
    return set(yaml.safe_load((DATA / "syscalls" / "retired.yaml").read_text()))


@pytest.mark.parametrize("arch", HEADERS)
def test_numbers_are_the_kernels(arch: str) -> None:
    path, prefix = HEADERS[arch]
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    text = path.read_text()
    found = re.findall(rf"#define\s+(?:{prefix})(\w+)\s+(\d+)", text)
    known = {NAMES.get(name, name): int(number) for name, number in found}
    known = {name: number for name, number in known.items() if number not in OF_32_BITS}
    last = max(number for name, number in known.items() if name not in NOT_CALLS)
    calls = [event for a, event in CALLS if a == arch]
    ours = {event.name.removeprefix(SYSCALL): event.number for event in calls}
    older = {name: number for name, number in ours.items() if number is not None and number <= last}
    assert older.items() <= known.items() | NEWER_THAN_HEADERS.items()
    assert known.keys() - ours.keys() <= NOT_CALLS, "every call is an event"


NAMES = {"fstatat": "newfstatat"}
"""Calls that the generic header names otherwise for 64-bit hosts."""
OF_32_BITS = range(403, 424)
NEWER_THAN_HEADERS = {"uretprobe": 335, "uprobe": 336}
"""Of arch/x86/entry/syscalls/syscall_64.tbl, in gaps between older numbers."""
NOT_CALLS = {"syscalls", "arch_specific_syscall", "sync_file_range2"}
"""Of the generic header: bounds, and what other architectures have in place of a call."""


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_key_is_written_twice(path: Path) -> None:
    """The second would silently stand for both."""
    nodes = [yaml.compose(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(set(keys)) == len(keys), str(node.start_mark)
            nodes += [value for _, value in node.value]


def _names(table: str) -> dict[str, int]:
    loaded = yaml.safe_load((DATA / "names" / f"{table}.yaml").read_text())
    return {str(name): int(number) for name, number in loaded.items()}


def test_signals_are_pythons() -> None:
    """Only the real-time ones differ: of the kernel's, libc keeps the first two to itself."""
    names = _names("signal")
    for known in signal.Signals:
        if known.value < 32:
            assert names[known.name] == known.value
    assert names["SIGRTMIN"] == 32


def test_errors_are_pythons() -> None:
    names = _names("error")
    for number, name in errno.errorcode.items():
        assert names[name] == number


def test_address_families_are_pythons() -> None:
    names = _names("address_family")
    for known in socket.AddressFamily:
        if known.name in names:
            assert names[known.name] == known.value
    assert {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"} <= set(names)


def _flag_sets() -> dict[str, Field]:
    sets = {}
    for event in load_catalog("x86_64").events.values():
        for field in event.fields.values():
            if isinstance(field.type, Flags):
                sets[field.type.doc] = field
    return sets


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="Python tells this host's values")
@pytest.mark.parametrize("field", _flag_sets().values(), ids=_flag_sets().keys())
def test_flags_are_pythons(field: Field) -> None:
    assert isinstance(field.type, Flags)
    different = {}
    for name, value, _mask in field.type.names:
        for module in (os, fcntl, socket, signal):
            known = getattr(module, name, value)
            if known != value and not (name == "O_LARGEFILE" and known == 0):
                different[name] = (value, known)
    assert different == {}


@pytest.mark.parametrize("arch", ARCHES)
def test_flags_are_told_apart(arch: str) -> None:
    """Each name reads as bits that are its own, and shows as itself."""
    for event in load_catalog(arch).events.values():
        for field in event.fields.values():
            if isinstance(field.type, Flags):
                found = [(value, mask) for _, value, mask in field.type.names]
                assert len(set(found)) == len(found), (event.name, field.name)
                assert all(value & ~mask == 0 for value, mask in found)


ABIS = [(arch, event, call) for arch, event in CALLS for call in event.abi_calls]
ABI_HEADERS = {
    "i386": Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
    "arm": Path("/usr/arm-linux-gnueabihf/include/asm/unistd-eabi.h"),
}
"""Of linux-libc-dev and linux-libc-dev-armhf-cross."""


@pytest.mark.parametrize("arch", ARCHES)
def test_numbers_of_32_bit_calls_are_the_kernels(arch: str) -> None:
    path = ABI_HEADERS[load_catalog(arch).abi]
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    pattern = r"#define\s+__NR_(\w+)\s+\(?(?:__NR_SYSCALL_BASE\s*\+\s*)?(\d+)\)?\s*$"
    known = {name: int(n) for name, n in re.findall(pattern, path.read_text(), re.MULTILINE)}
    ours = {call.name: call.number for a, _, call in ABIS if a == arch}
    assert {name: known[name] for name in ours if name in known} == {
        name: number for name, number in ours.items() if name in known
    }
    assert len(known.keys() & ours.keys()) > 0.85 * len(ours)


@pytest.mark.parametrize("arch", ARCHES)
def test_32_bit_calls_are_told_apart(arch: str) -> None:
    """A number stands for one call, or for several that an argument tells apart."""
    meanings: dict[tuple[int, int | None], set[str]] = defaultdict(set)
    for a, event, call in ABIS:
        if a == arch:
            meanings[call.number, call.when].add(event.name)
    assert {key: events for key, events in meanings.items() if len(events) > 1} == {}
    whole = {number for number, when in meanings if when is None}
    assert whole.isdisjoint(number for number, when in meanings if when is not None)


@pytest.mark.parametrize("arch", ARCHES)
def test_every_entry_of_a_32_bit_call_is_used(arch: str) -> None:
    """The call that it stands for is known, of this architecture or the other one."""
    abi = load_catalog(arch).abi
    told = yaml.safe_load((DATA / "compat.yaml").read_text())[abi]
    known = {*load_catalog(arch).events, *load_catalog(arch).elsewhere}
    assert {entry["as"] for group in told.values() for entry in group} - known <= {"clone"}


def test_operations_of_io_uring_that_are_no_events_are_named() -> None:
    """Each that a call does too; and none that is an event."""
    catalog = load_catalog("x86_64")
    names = catalog.events["io_uring_openat"].fields["opcode"].type.names  # type: ignore[attr-defined]
    told = {
        number
        for event in catalog.events.values()
        if event.operation
        for number in event.operation.opcodes
    }
    assert catalog.untold.keys() <= catalog.events.keys()
    assert all(names[opcode] not in told for opcode in catalog.untold.values())
