"""Compare what strace and etracee say of the same calls, field by field, by the field's type.

A difference is named and explained by the tables at the end, or it is a mismatch.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from kernel_differences import explain, explain_absence, explain_surplus, place_of
from kernel_members import MEMBERS, pointed
from kernel_run import Event, exact, exact_list
from kernel_strace import Call, Text, parse_list, parse_number, parse_string

from etracee.catalog import EventType, Field, Flow
from etracee.catalog.model import PartOf, Passed
from etracee.expr.check import check
from etracee.expr.evaluate import compile_tree
from etracee.expr.scope import Report, scope_of
from etracee.expr.tree import Test, leaves
from etracee.types.base import Kind


@dataclass(frozen=True)
class Difference:
    """What the two say of a field; `reason` explains it, None where nothing does."""

    call: str
    field: str
    strace: str
    etracee: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.call}: {self.field}: strace {self.strace}, etracee {self.etracee}"


@dataclass
class Agreement:
    """The figure: calls compared, values compared, differences, by system call."""

    calls: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    explained: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    mismatches: list[Difference] = field(default_factory=list)

    def add(self, differences: Sequence[Difference]) -> None:
        """Take the differences of a call."""
        for each in differences:
            if each.reason is None:
                self.mismatches.append(each)
            else:
                self.explained[each.call, each.field, each.reason] += 1

    def merge(self, other: Agreement) -> None:
        """Take what another run has found."""
        self.calls += other.calls
        self.values += other.values
        self.explained += other.explained
        self.mismatches += other.mismatches

    def lines(self) -> Iterator[str]:
        """Yield the table, and what was found different."""
        wrong = Counter(each.call for each in self.mismatches)
        named: Counter[str] = Counter()
        for (call, _, _), count in self.explained.items():
            named[call] += count
        yield f"{'call':24}{'calls':>9}{'values':>9}{'mismatches':>12}{'explained':>11}"
        for call in sorted({*self.calls, *wrong}):
            numbers = self.calls[call], self.values[call], wrong[call], named[call]
            yield "{:24}{:9}{:9}{:12}{:11}".format(call, *numbers)
        totals = (sum(each.values()) for each in (self.calls, self.values, wrong, named))
        yield "{:24}{:9}{:9}{:12}{:11}".format("all", *totals)

    def reasons(self) -> Iterator[str]:
        """Yield the explained differences, by reason and field."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for (call, name, reason), count in self.explained.items():
            found[reason][f"{call}.{name}"] += count
        for reason, places in sorted(found.items()):
            yield f"{reason}: " + ", ".join(f"{place} {count}" for place, count in places.items())

    def samples(self, most: int = 20) -> Iterator[str]:
        """Yield mismatches, at most three of one field."""
        shown: Counter[tuple[str, str]] = Counter()
        for each in self.mismatches:
            shown[each.call, each.field] += 1
            if shown[each.call, each.field] <= 3 and most:
                most -= 1
                yield str(each)


def compare(
    calls: Sequence[Call], events: Sequence[Event], types: Mapping[str, EventType]
) -> Agreement:
    """Compare thread by thread, in the order of the calls' ends; only calls of `types` count.

    Those of which the entry is told are compared among themselves: a signal can come before the
    end that strace sees.
    """
    agreement = Agreement()
    theirs, ours = defaultdict(list), defaultdict(list)
    seen = {name_of(event) for event in events}
    for call in calls:
        if call.name in types and call.name not in seen and explain_absence(call):
            _compare_pair(agreement, call, None, types)
        elif call.name in types:
            theirs[call.tid, types[call.name].flow is Flow.ENTRY].append(call)
    for event in events:
        ours[event["tid"], types[name_of(event)].flow is Flow.ENTRY].append(event)
    for place in sorted({*theirs, *ours}):
        for call, event in _align(theirs[place], ours[place]):
            if event is not None or call is None or call.returned:
                _compare_pair(agreement, call, event, types)
    return agreement


def _align(
    calls: Sequence[Call], events: Sequence[Event]
) -> Iterator[tuple[Call | None, Event | None]]:
    """Pair what one thread did; a call that one of the two lacks stands alone."""
    left = [(call.name, call.ret) for call in calls]
    right = [(name_of(event), result_of(event)) for event in events]
    if [name for name, _ in left] == [name for name, _ in right]:
        yield from zip(calls, events, strict=True)
        return
    for _, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if [name for name, _ in left[a:b]] == [name for name, _ in right[c:d]]:
            yield from zip(calls[a:b], events[c:d], strict=True)
        else:
            yield from ((call, None) for call in calls[a:b])
            yield from ((None, event) for event in events[c:d])


def name_of(event: Event) -> str:
    """Return the call's name."""
    return str(event["type"]).removeprefix("syscall.")


def result_of(event: Event) -> int | None:
    """Return the result as a number: of an address, JSON has the text."""
    ret = event["ret"]
    return int(ret, 16) if isinstance(ret, str) else ret


def _compare_pair(
    agreement: Agreement,
    call: Call | None,
    event: Event | None,
    types: Mapping[str, EventType],
) -> None:
    name = call.name if call is not None else name_of(event or {})
    agreement.calls[name] += 1
    if call is None or event is None:
        reason = explain_absence(call) if call is not None else explain_surplus(event or {})
        left, right = str(call or "nothing"), str(event or "nothing")
        agreement.add([Difference(name, "the call", left, right, reason)])
        return
    found = [_compare_result(call, event)]
    agreement.values[name] += 1
    for each in types[name].fields.values():
        if each.name in event:
            agreement.values[name] += 1
            found.append(_compare_field(call, event, types[name], each))
    agreement.add([each for each in found if each is not None])


def _compare_result(call: Call, event: Event) -> Difference | None:
    result = result_of(event)
    if not call.returned:
        reason = "the process was ended within the call"
    elif result is None:
        reason = "etracee tells of it at its entry, since it does not return to its caller"
    elif call.ret is not None and (call.ret - result) % (1 << 64) == 0:
        return None
    else:
        reason = None
    return Difference(call.name, "ret", str(call.ret), str(event["ret"]), reason)


def _compare_field(call: Call, event: Event, kind: EventType, told: Field) -> Difference | None:
    if not isinstance(told.origin, Passed | PartOf):
        return None
    text = text_of(call, kind, told)
    shown = shown_of(event, told)
    if told.when is not None and not _means_something(event, kind, told):
        problem = None if shown is None else "it means nothing here"
    elif _is_returned(kind, told) and (result_of(event) or 0) < 0:
        problem = None if shown is None else "the call has left nothing"
    else:
        problem = _problem(text, shown, told, event)
    if problem is None:
        return None
    reason = explain(call, told.name, text, shown, same_number=problem == _NAMES)
    return Difference(call.name, told.name, text or "nothing", f"{shown!r} ({problem})", reason)


def text_of(call: Call, kind: EventType, told: Field) -> str | None:
    """Return what strace prints of a field; None where it prints nothing."""
    origin = told.origin
    if isinstance(origin, PartOf):
        whole = text_of(call, kind, kind.fields[origin.whole])
        return (
            None
            if whole is None
            else MEMBERS[type(kind.fields[origin.whole].type).__name__](whole, told.name)
        )
    assert isinstance(origin, Passed)
    place = place_of(call, told.name, origin.index)
    if isinstance(place, str):
        starts = (each for each in call.arguments if each.startswith(f"{place}="))
        return next((each.partition("=")[2] for each in starts), None)
    text = call.arguments[place] if place is not None and place < len(call.arguments) else None
    return text if origin.at is None else pointed(text, origin.at)


def shown_of(event: Event, told: Field) -> object:
    """Return a field's value as it is printed, texts as bytes."""
    if told.kind is Kind.TEXT:
        return exact(event, told.name)
    if told.kind is Kind.TEXTS:
        return exact_list(event, told.name)
    return event[told.name]


def _problem(text: str | None, shown: object, told: Field, event: Event) -> str | None:
    """Return what is wrong, or None."""
    if text is None:
        return None if shown is None else "strace has no value"
    cut = event.get("truncated", [])
    whole = told.origin.whole if isinstance(told.origin, PartOf) else told.name
    if shown is None and whole in cut:
        return None
    return _CHECKS[told.kind](text, shown, told, told.name in cut)


def _is_returned(kind: EventType, told: Field) -> bool:
    """Say whether the call leaves the value where it succeeds."""
    whole = kind.fields[told.origin.whole] if isinstance(told.origin, PartOf) else told
    return isinstance(whole.origin, Passed) and whole.origin.returned


def _means_something(event: Event, kind: EventType, told: Field) -> bool:
    """Say whether the catalog's condition for the field is fulfilled."""
    scope = scope_of([kind], {}, {})
    condition = check(told.when or "", scope, Report(lambda _: None))[kind.name]
    read = {leaf.field for leaf in leaves(condition) if isinstance(leaf, Test)}
    return compile_tree(condition)({each.name: _value(event, each) for each in read}, ())


def _value(event: Event, told: Field) -> object:
    shown = event[told.name]
    return None if shown is None else told.type.read_shown(shown)


_NAMES = "the same number, other names"


def _check_number(text: str, shown: object, told: Field, cut: bool) -> str | None:
    if text == str(shown):
        return None
    theirs = parse_number(text)
    if theirs is None:
        return "strace has no number"
    if shown is None:
        return "etracee has no number"
    ours = told.type.read_shown(shown)
    assert isinstance(ours, int)
    bits = told.type.storage.size * 8
    if not -(1 << bits - 1) <= theirs.value < 1 << bits:
        return f"more than {bits} bits"
    if (theirs.value - ours) % (1 << bits):
        return "another number"
    if theirs.names is not None and not _are_same(theirs.names, str(shown)):
        return _NAMES
    if theirs.names is None and not _is_plain(str(shown)):
        return _NAMES
    return None


def _are_same(theirs: str, ours: str) -> bool:
    """Say whether the names are the same; a number among them may stand anywhere."""
    words = theirs.split("|"), ours.split("|")
    has_number = any(map(_is_plain, words[0]))
    return sorted(words[0]) == sorted(words[1]) if has_number else theirs == ours


def _is_plain(shown: str) -> bool:
    return re.fullmatch(r"-?\d+|0x[0-9a-f]+|0[0-7]+", shown) is not None


def _check_text(text: str, shown: object, told: Field, cut: bool) -> str | None:
    theirs = parse_string(text)
    if theirs is None:
        return None if shown is None and parse_number(text) else _no_text(text, shown)
    if not isinstance(shown, bytes):
        return "etracee has no text"
    return None if _same(theirs, Text(shown, cut)) else "another text"


def _no_text(text: str, shown: object) -> str | None:
    return None if text == "NULL" and shown is None else "strace has no text"


def _same(theirs: Text, ours: Text) -> bool:
    if ours.cut and theirs.value.startswith(ours.value):
        return True
    return theirs.value == ours.value or (theirs.cut and ours.value.startswith(theirs.value))


def _check_texts(text: str, shown: object, told: Field, cut: bool) -> str | None:
    elements = [] if text == "NULL" else parse_list(text)
    if elements is None or shown is None:
        return None if elements is None and shown is None else "only one of the two has a list"
    assert isinstance(shown, list)
    for index, (theirs, ours) in enumerate(zip(elements, shown, strict=False)):
        last = cut and index == len(shown) - 1
        string = parse_string(theirs)
        if string is None or not _same(string, Text(ours, last)):
            return f"element {index} differs"
    return None if len(elements) == len(shown) or cut or "..." in elements else "another length"


def _check_address(text: str, shown: object, told: Field, cut: bool) -> str | None:
    theirs = parse_string(text)
    if theirs is None:
        return "strace has no address"
    address = ipaddress.ip_address(theirs.value.decode())
    address = getattr(address, "ipv4_mapped", None) or address
    return None if str(address) == shown else "another address"


def _check_ids(text: str, shown: object, told: Field, cut: bool) -> str | None:
    elements = [parse_number(each) for each in parse_list(text) or []]
    if None in elements or not elements:
        return None if shown is None or shown == [] else "strace has no list"
    theirs = [each.value for each in elements if each is not None]
    if not isinstance(shown, list) or theirs[: len(shown)] != shown:
        return "another list"
    return None if cut or len(theirs) == len(shown) else "another length"


_Check = Callable[[str, object, Field, bool], str | None]
_CHECKS: Mapping[Kind, _Check] = {
    Kind.NUMBER: _check_number,
    Kind.FLAGS: _check_number,
    Kind.TEXT: _check_text,
    Kind.TEXTS: _check_texts,
    Kind.ADDRESS: _check_address,
    Kind.OPAQUE: _check_ids,
}
