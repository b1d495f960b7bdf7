"""What of the catalog one kernel can show: its BTF decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from etracee.catalog.entries import PlaceEntry, TracepointEntry
from etracee.catalog.families import find_families
from etracee.catalog.model import (
    Catalog,
    Described,
    Details,
    EventType,
    Field,
    FileOf,
    InRequest,
)
from etracee.catalog.read import REQUESTS, read_data
from etracee.catalog.requests import read_hooks


class Kernel(Protocol):
    """The types of a kernel, as etracee.kernel.btf reads them."""

    def offset_of(self, path: str) -> int | None:
        """Return the offset of `struct.member…` in bytes, or None where there is no such."""

    def parameters_of(self, typedef: str) -> Sequence[str] | None:
        """Return the structures that a function's parameters point to, "" for other ones."""


class _LackingError(Exception):
    """The kernel has not what an event needs; says what."""


def fit_catalog(catalog: Catalog, kernel: Kernel) -> Catalog:
    """Return the catalog as `kernel` can show it; what it cannot show is `unseen`, and why."""
    fit = _Fit(kernel)
    events: dict[str, EventType] = {}
    unseen: dict[str, str] = {}
    for name, event in catalog.events.items():
        try:
            events[name] = fit.event(event)
        except _LackingError as lacking:
            unseen[name] = str(lacking)
    families = find_families(events.values())
    return replace(catalog, events=events, families=families, unseen=unseen)


class _Fit:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        choices = read_hooks(read_data(REQUESTS))
        self.hooks = {function: self.hook(entries) for function, entries in choices.items()}

    def hook(self, entries: Sequence[TracepointEntry]) -> TracepointEntry | str:
        """Return the first of the tracepoints that the kernel has, else what is missing."""
        for entry in entries:
            if self.takes(entry):
                return entry
        names = " or ".join(dict.fromkeys(entry.name for entry in entries))
        return f"its BTF has no tracepoint {names} as it is known"

    def takes(self, entry: TracepointEntry) -> bool:
        """Say whether the tracepoint's probes take what is known; the first is the probe's own."""
        found = self.kernel.parameters_of(f"btf_trace_{entry.name}")
        if found is None or len(found) != len(entry.takes) + 1:
            return False
        pairs = zip(entry.takes, found[1:], strict=True)
        return all(wanted in ("_", there) for wanted, there in pairs)

    def event(self, event: EventType) -> EventType:
        if event.operation is None:
            return event
        hooks = dict(self.chosen_hooks())
        written = event.operation.places
        chosen = {origin: self.places(origin) for origin in written.values()}
        places = {name: chosen[origin] for name, origin in written.items()}
        operation = replace(event.operation, hooks=hooks, places=places)
        details = Details(partial(_described, event.details, chosen))
        return replace(event, details=details, operation=operation)

    def chosen_hooks(self) -> Iterator[tuple[str, TracepointEntry]]:
        for function, hook in self.hooks.items():
            if isinstance(hook, str):
                raise _LackingError(hook)
            yield function, hook

    def places(self, origin: InRequest) -> InRequest:
        """Return the first of the places that the kernel has."""
        missing: Mapping[str, None] = {}
        for place in origin.places:
            missing = dict.fromkeys(self.missing(place))
            if not missing:
                return InRequest((place,))
        raise _LackingError(f"its BTF has no {', '.join(missing)}")

    def missing(self, place: PlaceEntry) -> Iterator[str]:
        members = [*place.at, f"io_uring_sqe.{place.entry}"]
        members += place.length if isinstance(place.length, tuple) else []
        yield from (path for path in members if self.kernel.offset_of(path) is None)


Chosen = Mapping[InRequest, InRequest]
"""Places as they are written, each with the one that the kernel has."""


def _described(details: Details, chosen: Chosen) -> Described:
    fields, default = details.made
    return {name: _fitted(field, chosen) for name, field in fields.items()}, default


def _fitted(field: Field, chosen: Chosen) -> Field:
    origin = field.origin
    if isinstance(origin, InRequest):
        return replace(field, origin=chosen[origin])
    if isinstance(origin, FileOf):
        told = (origin.name, origin.at, origin.fd)
        name, at, fd = (chosen[o] if isinstance(o, InRequest) else o for o in told)
        return replace(field, origin=replace(origin, name=name, at=at, fd=fd))
    return field
