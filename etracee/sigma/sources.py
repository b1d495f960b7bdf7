"""Sigma's log sources for Linux, and the events and fields that stand for them here."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as default

from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import SigmaNumber, SigmaString

from etracee.catalog import Catalog
from etracee.catalog.model import Argument
from etracee.sigma.clauses import NotExpressibleError
from etracee.types import Kind
from etracee.types.texts import POSITIONS


@dataclass(frozen=True)
class LogSource:
    """What a rule looks at: one kind of log entry, as events; none where there are none here.

    `guard` is true of the events that would make such an entry. `did` tells people of one.
    `fields` has Sigma's names and ours. `facts` are fields that have these values, in lower case,
    in every such entry. `absent` are fields that such entries never have. `words` are fields whose
    values are expressions here. Of all others nothing can be said. Of our fields, those in
    `hexadecimal` are compared with numbers that Sigma writes so.
    """

    name: str
    events: tuple[str, ...]
    guard: str | None
    did: str
    fields: Mapping[str, str]
    facts: Mapping[str, frozenset[str]] = default(default_factory=dict)
    absent: frozenset[str] = frozenset()
    words: Mapping[str, Mapping[str, str]] = default(default_factory=dict)
    keywords: str | None = None
    """The field in which words without a field are looked for."""
    hexadecimal: frozenset[str] = frozenset()

    @property
    def unmapped(self) -> tuple[Container[str], ...]:
        """Return the fields that need no field of ours."""
        return self.facts, self.absent, self.words


_USER = {"User": {"root": "uid = 0"}}
"""Other users have other numbers on every host."""

# Sysmon for Linux, whose events these categories are, logs what succeeded.
_CATEGORIES = {
    "process_creation": LogSource(
        "process_creation",
        events=("$execute",),
        guard="ret = 0",
        did="ran {argv}",
        fields={
            "Image": "path",
            "CommandLine": "cmdline",
            "ProcessId": "pid",
            "ParentProcessId": "ppid",
            "ParentImage": "parent.exe",
            "CurrentDirectory": "cwd",
        },
        words=_USER,
    ),
    "file_event": LogSource(
        "file_event",
        events=("$open",),
        guard="mode exists and ret >= 0",  # a mode is there where the call may make the file
        did="made or opened {path}",
        fields={"TargetFilename": "path", "ProcessId": "pid", "Image": "exe"},
        words=_USER,
    ),
    "network_connection": LogSource(
        "network_connection",
        events=("connect",),
        guard="family in (AF_INET, AF_INET6) and ret in (0, EINPROGRESS)",
        did="connected to {addr} port {port}",
        fields={
            "DestinationIp": "addr",
            "DestinationPort": "port",
            "SourceIp": "local.addr",
            "SourcePort": "local.port",
            "ProcessId": "pid",
            "Image": "exe",
        },
        words=_USER,
        facts={"Initiated": frozenset({"true"})},
    ),
}

# The fields of audit records, as the kernel writes them (kernel/auditsc.c).
_OF_EXECVE = {f"a{index}": f"arg{index}" for index in range(POSITIONS)}
_OF_PATH = {"name": "filename"}
_SAME_NAME = ("comm", "exe", "pid", "ppid", "uid", "gid", "euid", "egid")
_OF_SYSCALL = {name: name for name in _SAME_NAME}
_ALL_OF_EXECVE = frozenset({*_OF_EXECVE, "argc"})
_ALL_OF_PATH = frozenset(
    {"item", "name", "inode", "dev", "mode", "ouid", "ogid", "rdev", "nametype"}
)
_ALL_OF_SYSCALL = frozenset(
    {"arch", "syscall", "SYSCALL", "success", "exit", "items", "tty", "ses", "comm", "exe", "key"}
    | {"pid", "ppid", "auid", "uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid"}
    | {"a0", "a1", "a2", "a3"}
)
_PATHS: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "": (("$open", "$unlink", "$chmod", "$execute"), None),
    "create": (("$open",), "mode exists and ret >= 0"),
    "delete": (("$unlink",), "ret = 0"),
}
"""Events and guard for each `nametype` of PATH records, and where a rule names none."""

_NOT_OF_EXECVE = (_ALL_OF_PATH | _ALL_OF_SYSCALL) - _ALL_OF_EXECVE
_NOT_OF_PATH = (_ALL_OF_EXECVE | _ALL_OF_SYSCALL) - _ALL_OF_PATH
_NOT_OF_SYSCALL = (_ALL_OF_EXECVE | _ALL_OF_PATH) - _ALL_OF_SYSCALL
_TELLING = {"execve": _ALL_OF_EXECVE, "path": _ALL_OF_PATH, "syscall": _ALL_OF_SYSCALL}


def sources_of(rule: SigmaRule, catalog: Catalog) -> tuple[LogSource, ...]:
    """Return what a rule looks at; NotExpressibleError where that is not known here."""
    source = rule.logsource
    if source.product not in (None, "linux"):
        raise NotExpressibleError(f"log source: product {source.product}")
    if source.service == "auditd" and source.category is None:
        return tuple(_records(rule, catalog))
    if source.service is None and source.category in _CATEGORIES:
        return (_CATEGORIES[source.category],)
    named = (("category", source.category), ("service", source.service))
    words = " ".join(f"{key} {value}" for key, value in named if value)
    raise NotExpressibleError(f"log source: {words or 'any of Linux'}")


def _records(rule: SigmaRule, catalog: Catalog) -> Iterator[LogSource]:
    """Return a source for each type of audit record that the rule names or means."""
    values = dict(_values(rule))
    types = sorted({text.lower() for text in values.get("type", ())}) or [_meant(values)]
    for name in types:
        if name not in _TELLING:
            raise NotExpressibleError(f"audit records of type {name.upper()}")
        yield from _BUILDERS[name](values, catalog)
    everything = frozenset().union(*_TELLING.values())
    yield _others("audit records of other types", {"type": frozenset()}, everything)


def _others(name: str, facts: Mapping[str, frozenset[str]], absent: frozenset[str]) -> LogSource:
    """Return the entries that a rule of auditd does not name, for which it must not hold.

    Facts without a value differ from all that the rule names.
    """
    return LogSource(name, (), None, "", {}, facts=facts, absent=absent)


def _meant(values: Mapping[str, list[str]]) -> str:
    for name, fields in _TELLING.items():
        if values and values.keys() <= fields:
            return name
    raise NotExpressibleError("audit records of no named type")


def _execve(_values: Mapping[str, list[str]], _catalog: Catalog) -> Iterator[LogSource]:
    yield LogSource(
        "auditd EXECVE",
        events=("$execute",),
        guard="ret = 0",
        did="ran {argv}",
        fields=_OF_EXECVE,
        facts={"type": frozenset({"execve"})},
        absent=_NOT_OF_EXECVE,
        keywords="cmdline",
    )


def _path(values: Mapping[str, list[str]], _catalog: Catalog) -> Iterator[LogSource]:
    named = sorted({text.lower() for text in values.get("nametype", ())})
    for nametype in named or [""]:
        if nametype not in _PATHS:
            raise NotExpressibleError(f"audit records with nametype {nametype.upper()}")
        events, guard = _PATHS[nametype]
        facts = {"nametype": frozenset({nametype})} if nametype else {}
        yield LogSource(
            f"auditd PATH {nametype}".strip(),
            events=events,
            guard=guard,
            did="called {type} on {filename}",
            fields=_OF_PATH,
            facts={"type": frozenset({"path"}), **facts},
            absent=_NOT_OF_PATH,
        )
    if named:
        yield _others(
            "audit records of another nametype",
            {"type": frozenset({"path"}), "nametype": frozenset()},
            _NOT_OF_PATH,
        )


def _syscall(values: Mapping[str, list[str]], catalog: Catalog) -> Iterator[LogSource]:
    names = dict.fromkeys(values.get("syscall", []) + values.get("SYSCALL", []))
    if not names:
        raise NotExpressibleError("audit records of type SYSCALL without the name of a call")
    for name in names:
        event = catalog.call(name)
        if event is None:
            raise NotExpressibleError(f"the system call {name} is not in the catalog")
        arguments = {
            f"a{field.origin.index}": field.name
            for field in event.fields.values()
            if isinstance(field.origin, Argument) and field.kind in (Kind.NUMBER, Kind.FLAGS)
        }
        facts = {"type": "syscall", "syscall": name, "SYSCALL": name}
        yield LogSource(
            f"auditd SYSCALL {name}",
            events=(event.name,),
            guard=None,
            did="called {type}",
            fields={**_OF_SYSCALL, "exit": "ret", **arguments},
            facts={key: frozenset({value}) for key, value in facts.items()},
            absent=_NOT_OF_SYSCALL,
            words={"success": {"yes": "ret >= 0", "no": "ret < 0"}},
            hexadecimal=frozenset(arguments.values()),
        )
    yield _others(
        "audit records of other calls",
        {"type": frozenset({"syscall"}), "syscall": frozenset(), "SYSCALL": frozenset()},
        _NOT_OF_SYSCALL,
    )


_BUILDERS = {"execve": _execve, "path": _path, "syscall": _syscall}


def _values(rule: SigmaRule) -> Iterable[tuple[str, list[str]]]:
    """Return the fields of the rule, each with all of its plain values."""
    found: dict[str, list[str]] = {}
    for item in _items(rule.detection.detections.values()):
        if item.field is not None:
            texts = found.setdefault(item.field, [])
            texts += (str(v) for v in item.value if isinstance(v, SigmaString | SigmaNumber))
    return found.items()


def _items(details: Iterable[SigmaDetection | SigmaDetectionItem]) -> Iterator[SigmaDetectionItem]:
    for detail in details:
        if isinstance(detail, SigmaDetection):
            yield from _items(detail.detection_items)
        else:
            yield detail
