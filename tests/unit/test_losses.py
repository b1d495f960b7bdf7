"""What was lost becomes items, and the size of a ring that would have held it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import hostc
import pytest

from etracee.clock import Clock
from etracee.event import Loss
from etracee.generations import Generations
from etracee.losses import Losses
from etracee.plan import attach_by
from etracee.units import parse_size, show_size


@dataclass
class Program:
    """A program that has lost something since it was asked before."""

    refused: dict[str, int] = field(default_factory=dict)
    unfitted: dict[str, int] = field(default_factory=dict)
    decoder: Any = field(default_factory=lambda: SimpleNamespace(names=("openat", "exit")))

    def find_refused(self) -> dict[str, int]:
        found, self.refused = self.refused, {}
        return found

    def find_unfitted(self) -> dict[str, int]:
        found, self.unfitted = self.unfitted, {}
        return found

    def blind_rules(self, name: str) -> tuple[str, ...]:
        return (f"rule-of-{name}",)


@dataclass
class Run:
    """What Losses asks of Generations."""

    current: Program
    ring: Any
    reader: Any
    slots: Any

    def live(self) -> list[Program]:
        return [self.current]


@pytest.fixture
def run() -> Run:
    ring = SimpleNamespace(size=1 << 16, fullest=1 << 16, consumed=100_000)
    reader = SimpleNamespace(records=1_000)
    return Run(Program(), ring, reader, SimpleNamespace(misses=Counter()))


def losses_of(run: Run) -> Losses:
    return Losses(cast(Generations, run), Clock())


def told(items: list[Loss]) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {item.event: (item.count, item.blind_rules) for item in items}


def test_each_loss_is_told_once(run: Run) -> None:
    losses = losses_of(run)
    run.current.refused, run.current.unfitted = {"openat": 3}, {"exit": 4}
    found = list(losses.find())
    assert told(found) == {"openat": (3, ("rule-of-openat",)), "exit": (4, ())}
    assert not list(losses.find())
    run.current.refused = {"openat": 1}
    (next_one,) = losses.find()
    assert int(next_one.start) >= int(found[0].end)


def test_what_the_kernel_has_skipped_is_lost(run: Run) -> None:
    losses = losses_of(run)
    run.slots.misses = Counter({"openat": 2, "sys_exit": 1})
    found = told([item for _ in range(20) for item in losses.find()])
    assert found == {"openat": (2, ("rule-of-openat",)), "sys_exit": (1, ("rule-of-sys_exit",))}
    run.slots.misses = Counter({"openat": 5, "sys_exit": 1})
    assert told(list(losses.find(is_last=True))) == {"openat": (3, ("rule-of-openat",))}


def test_a_flood_adds_up_while_it_lasts(run: Run) -> None:
    losses = losses_of(run)
    for refused in (1_000, 1_000, 0, 1_000):
        run.current.refused = {"openat": refused} if refused else {}
        list(losses.find())
    assert losses.ring_wanted == 1 << 19, "64 KiB and twice 2,000 records of 100 bytes"


def test_where_the_ring_was_not_full_a_larger_one_is_no_help(run: Run) -> None:
    run.ring.fullest = 1000
    run.current.refused = {"openat": 1}
    losses = losses_of(run)
    list(losses.find())
    assert losses.ring_wanted == 0


def test_calls_that_found_no_room_elsewhere_want_no_ring(run: Run) -> None:
    run.current.refused = {"process tree": 1_000_000}
    losses = losses_of(run)
    assert told(list(losses.find())) == {"process tree": (1_000_000, ("rule-of-process tree",))}
    assert losses.ring_wanted == 0


def test_each_stub_names_what_is_lost_without_it(tmp_path: Path) -> None:
    events = {"execve": {}, "openat": {"fields": ["duration_ns"]}, "exit_group": {}, "exit": {}}
    plan = hostc.plan_of(tmp_path, {"events": events})
    assert plan.find_told() == {
        "attached_sched_process_exec": "sched_process_exec",
        "attached_i386_abi_program_started": "sched_process_exec",
        "attached_task_rename": "task_rename",
        "attached_sched_process_exit": "sched_process_exit",
        "attached_sys_exit_execve": "execve",
        "attached_sys_exit_openat": "openat",
        "attached_sys_enter_exit_group": "exit_group",
    }
    together = attach_by(plan, "raw_tracepoint", typed_loads=True).find_told()
    assert together["attached_sys_exit"] == "sys_exit"
    assert together["attached_sys_enter"] == "exit_group"


@pytest.mark.parametrize("text", ["1B", "1000B", "64KiB", "8MiB", "1GiB", "1025MiB"])
def test_sizes_are_shown_as_they_are_read(text: str) -> None:
    assert show_size(parse_size(text)) == text
