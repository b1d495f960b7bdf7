"""What a kernel's BTF decides of the catalog: here, of kernels that lack this or that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from etracee.catalog import EventType, fit_catalog, load_catalog
from etracee.catalog.model import InRequest

CQE = ["", "io_ring_ctx", "", "io_uring_cqe"]
NEWEST = {
    "btf_trace_io_uring_submit_req": ["", "io_kiocb"],
    "btf_trace_io_uring_complete": CQE,
    "btf_trace_io_uring_req_failed": ["", "io_uring_sqe", "io_kiocb", ""],
    "btf_trace_io_uring_cqe_overflow": [""] * 6,
}
OLDER = {
    **{name: taken for name, taken in NEWEST.items() if "submit" not in name},
    "btf_trace_io_uring_submit_sqe": ["", "io_kiocb", ""],
    "btf_trace_io_uring_complete": [""] * 8,
}


@dataclass
class FakeKernel:
    """Has all members but `lacks`, and these tracepoints."""

    probes: dict[str, list[str]] = field(default_factory=lambda: NEWEST)
    lacks: frozenset[str] = frozenset()

    def offset_of(self, path: str) -> int | None:
        return None if path in self.lacks else 0

    def parameters_of(self, typedef: str) -> Sequence[str] | None:
        return self.probes.get(typedef)


def requests(kernel: FakeKernel) -> dict[str, EventType]:
    events = fit_catalog(load_catalog("x86_64"), kernel).events
    return {name: event for name, event in events.items() if event.operation}


@pytest.mark.parametrize("probes", [NEWEST, OLDER], ids=["newest", "older"])
def test_the_kernels_own_tracepoints_are_chosen(probes: dict[str, list[str]]) -> None:
    operation = requests(FakeKernel(probes))["io_uring_openat"].operation
    assert operation
    assert {f"btf_trace_{hook.name}" for hook in operation.hooks.values()} == set(probes)
    told = operation.hooks["io_uring_completed"]
    assert (told.completion, told.result) == ((2, None) if probes is NEWEST else (None, 3))


def test_another_prototype_is_not_taken_for_a_known_one() -> None:
    """A tracepoint whose arguments stand otherwise would be misread."""
    probes = {**NEWEST, "btf_trace_io_uring_submit_req": ["", "io_ring_ctx", "io_kiocb"]}
    catalog = fit_catalog(load_catalog("x86_64"), FakeKernel(probes))
    assert not any(event.operation for event in catalog.events.values())
    assert "io_uring_openat" not in catalog.families["open"]
    unseen = catalog.unseen["io_uring_openat"]
    assert unseen == (
        "its BTF has no tracepoint io_uring_submit_req or io_uring_submit_sqe as it is known"
    )
    assert any({"openat", "io_uring_openat"} <= set(group) for group in catalog.siblings)
    assert "openat" in catalog.events


def test_an_operation_whose_structure_is_missing_is_unseen() -> None:
    catalog = fit_catalog(load_catalog("x86_64"), FakeKernel(lacks=frozenset({"io_bind.addr_len"})))
    assert catalog.unseen["io_uring_bind"] == "its BTF has no io_bind.addr_len"
    assert list(catalog.unseen) == ["io_uring_bind"]
    assert catalog.absent >= {"io_uring_bind"}


def test_of_several_places_the_kernels_own_is_chosen() -> None:
    """Up to Linux 6.12 a request to send had its address in user memory."""
    lacks = frozenset({"io_sr_msg.addr", "io_sr_msg.addr_len"})
    found = []
    for kernel in (FakeKernel(), FakeKernel(lacks=lacks)):
        origin = requests(kernel)["io_uring_send"].fields["address"].origin
        assert isinstance(origin, InRequest)
        found.append([place.memory for place in origin.places])
    assert found == [["user"], ["kernel"]]
