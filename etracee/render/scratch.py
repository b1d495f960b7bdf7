"""How much room a record needs while it is put together, as the verifier sees it."""

from __future__ import annotations

from etracee.catalog import Flow
from etracee.fragments import C, c
from etracee.plan import EventPlan, Plan
from etracee.plan.layout import round_up
from etracee.plan.tries import LONGEST_KEY
from etracee.problems import Problem, ProblemsError
from etracee.render.counts import key_room
from etracee.render.filters import bytes_before, ones
from etracee.types.path import KernelPath, Path

LONGEST_PATH = 3 * 4096
"""Bytes that a path may reach for, to the verifier: thrice PATH_ROOM of path.c.j2."""
MOST_SCRATCH = 32 * 1024
"""Bytes that a value of a per-CPU map may have: PCPU_MIN_UNIT_SIZE, include/linux/percpu.h."""


def count_bytes(event: EventPlan) -> C:
    """Return the bytes of a record, within a bound that the verifier sees.

    A mask is cheaper than a comparison, but may allow nearly twice of what a record can have.
    """
    most = event.layout.limit
    masked = c("BOUND(used + {size}, {mask})", size=event.layout.size, mask=ones(most))
    compared = c("AT_MOST(used + {size}, {most})", size=event.layout.size, most=most)
    return masked if _has_room_for_mask(event) else compared


def _has_room_for_mask(event: EventPlan) -> bool:
    return event.layout.size + ones(event.layout.limit) < MOST_SCRATCH


def scratch_words(plan: Plan) -> int:
    """Return the words of 8 bytes that records are put together in; ProblemsError if too many."""
    sizes = {event.name: scratch_bytes(event) + key_room(event) for event in plan.events}
    problems = [
        Problem(
            None,
            f"the texts of {name} need {size} bytes together, of {MOST_SCRATCH} that there are",
            "lower options.max_string or options.max_argv, or capture fewer of its fields",
        )
        for name, size in sizes.items()
        if size > MOST_SCRATCH
    ]
    if problems:
        raise ProblemsError(problems)
    return max(sizes.values()) // 8


def largest_record(plan: Plan, flow: Flow) -> int:
    """Return the bytes of the largest record of the events of `flow`, in whole words of 8 bytes."""
    sizes = (event.layout.limit for event in plan.events if event.type.flow is flow)
    return round_up(max(sizes, default=0), 8)


def scratch_bytes(event: EventPlan) -> int:
    """Return the bytes that a record may reach for while it is made and compared.

    To the verifier, masks are the bounds: a string may begin as late as the mask of what is before
    it allows. A vector's string is written at most two masks behind its begin, a path within
    LONGEST_PATH, and an end of a text is compared, word by word, at most a mask and the text itself
    behind it. The key of a trie lies where the text does.
    """
    most = event.layout.limit
    reach = event.layout.size + (ones(most) + 1 if _has_room_for_mask(event) else most)
    paths = {f.name for f in event.captures if isinstance(f.type, Path | KernelPath)}
    for slot in event.layout.variable:
        begin = event.layout.size + ones(bytes_before(event, slot))
        span = LONGEST_PATH if slot.name in paths else max(2 * ones(slot.limit), LONGEST_KEY)
        reach = max(reach, begin + span + 64)
    return -(-reach // 8) * 8
