"""The 32-bit calls that a 64-bit kernel takes, by the calls that do the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from etracee.catalog.entries import AbiCallEntry, SyscallEntry
from etracee.catalog.model import SYSCALL, AbiCall, EventType

_IDENTITY = (0, 1, 2, 3, 4, 5)


def add_abi_calls(
    events: Iterable[EventType], calls: Mapping[str, SyscallEntry], abi: str, data: Any
) -> Iterator[EventType]:
    """Yield the events, each with the 32-bit calls that do the same, of data/compat.yaml."""
    told = [AbiCallEntry(**entry) for group in data[abi].values() for entry in group]
    by_name: dict[str, list[AbiCallEntry]] = {}
    for entry in told:
        by_name.setdefault(entry.stands_for, []).append(entry)
    numbers = {entry.number for entry in told}
    for event in events:
        own = [_call(entry) for entry in by_name.get(event.name, ())]
        number = calls[event.name].number.get(abi) if event.name in calls else None
        if number is not None and number not in numbers:
            name = event.name.removeprefix(SYSCALL)
            own.insert(0, AbiCall(name, number, None, 32, None, _IDENTITY))
        yield replace(event, abi_calls=tuple(own)) if own else event


def _call(entry: AbiCallEntry) -> AbiCall:
    arguments = _IDENTITY if entry.arguments is None else entry.arguments
    padded = (*arguments, *[None] * (len(_IDENTITY) - len(arguments)))
    return AbiCall(entry.name, entry.number, entry.when, entry.bits, entry.memory, padded)
