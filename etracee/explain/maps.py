"""The maps of a program and what they take, as templates/bpf/body.c.j2 declares them."""

from __future__ import annotations

from collections.abc import Iterator

from etracee.explain.model import Map
from etracee.fragments import C
from etracee.kernel.bpf import fit_lru
from etracee.operators.grams import WORDS
from etracee.plan import Plan
from etracee.plan.attach import ABI_PROGRAMS
from etracee.render.cview import view_program
from etracee.render.views import ProgramView

HASH_ENTRY = 64
"""About what an entry of a hash takes besides key and value: struct htab_elem and its bucket,
kernel/bpf/hashtab.c."""
TRIE_NODE = 40
"""The same of a trie: struct lpm_trie_node, kernel/bpf/lpm_trie.c."""
WALK = 4544
"""About the bytes of struct walk of templates/bpf/path.c.j2; the kernel's structures decide."""


def maps_of(plan: Plan, cpus: int) -> tuple[tuple[Map, ...], int]:
    """Return the maps on a host with that many possible CPUs, and the bytes of the scratch space.

    ProblemsError where a record has no room in it.
    """
    view = view_program(plan, lambda _: C("0"))
    return tuple(_maps(plan, view, cpus)), view.scratch_words * 8


def _maps(plan: Plan, view: ProgramView, cpus: int) -> Iterator[Map]:
    scratch = view.scratch_words * 8
    yield _array("tracepoints", "program array", 4, view.tracepoint_slots, 1)
    yield _array("raw_tracepoints", "program array", 4, view.raw_slots, 1)
    for name in view.function_slots:
        yield _array(name, "program array", 4, 1, 1)
    if view.tree:
        yield _hash("tracked", 4, view.tracked_processes)
    else:
        yield _array("config", "array", 12, 1, 1)
    yield _array("counts", "per-CPU array", 32, view.counters, cpus)
    yield _array("left_open", "per-CPU array", 8, view.counters, cpus)
    yield _array("scratch", "per-CPU array", scratch, 1, cpus)
    yield from _of_calls(view, cpus)
    ring = plan.options.ring_buffer
    yield Map("events", "ring buffer", 0, 0, ring, ring)
    if view.paths:
        yield _array("walks", "per-CPU array", WALK, 1, cpus)
    if any(hook.function == "sched_process_exit" and hook.events for hook in view.hooks):
        yield _lru("ended", 4, view.ended_processes, cpus, key=16)
    if view.kills:
        yield _hash("protected", 4, view.protected_processes)
    yield from _counts(view, cpus)
    for grams in plan.grams:
        yield _array(f"{grams.field}_grams", "array", WORDS * 8, 1, 1)
    yield from _tries(plan)


def _tries(plan: Plan) -> Iterator[Map]:
    for trie in plan.tries:
        key, value, entries = 4 + trie.size, 8 * trie.words, max(len(trie.entries), 1)
        memory = len(trie.entries) * (TRIE_NODE + key + value)
        yield Map(f"{trie.field}_trie", "LPM trie", key, value, entries, memory)


def _of_calls(view: ProgramView, cpus: int) -> Iterator[Map]:
    """Yield what is kept of calls from their entry to their exit."""
    if view.exec_events:
        yield _hash("pending", view.call_words * 8, view.calls, key=8)
        yield _array("previous", "program array", 4, 1, 1)
        yield _lru("other_execs", 4, view.other_execs, cpus, key=8)
        yield _array("abi_execs", "per-CPU array", 8, 1, cpus)
    if view.request_events:
        size = 8 * (view.request_words + (5 if view.opens else 4))
        yield _lru("requests", size, view.request_entries, cpus, key=8)
        yield _lru("named_requests", 8, view.request_entries, cpus, key=16)
        yield _array("previous_requests", "program array", 4, 1, 1)
        yield _array("request_functions", "program array", 4, view.request_slots, 1)
        yield _array("ending", "per-CPU array", 24, 1, cpus)
    if any(hook.function == ABI_PROGRAMS for hook in view.hooks):
        yield _array("abi_programs", "per-CPU array", 8, 1, cpus)
    if view.opens:
        yield _lru("closings", 8, view.closing_processes, cpus)
    if view.closes:
        yield _lru("closing", view.closing_bytes + 8, view.closing_threads, cpus)
    if view.pairs:
        yield _array("unpaired", "per-CPU array", 8, view.counters, cpus)
    if view.notes_entries:
        yield _hash("begun", 16, view.timed_threads)


def _counts(view: ProgramView, cpus: int) -> Iterator[Map]:
    if not view.key_words:
        return
    key, entries = 8 * view.key_words, view.tallies
    memory = entries * (HASH_ENTRY + key + 8 * cpus)
    yield Map("tallies", "per-CPU hash", key, 8, entries, memory)
    yield _array("epoch", "array", 4, 1, 1)
    yield _array("unfitted", "per-CPU array", 8, view.counters, cpus)


def _array(name: str, kind: str, value: int, entries: int, copies: int) -> Map:
    rounded = -(-value // 8) * 8
    return Map(name, kind, 4, value, entries, rounded * entries * copies)


def _hash(name: str, value: int, entries: int, key: int = 4, kind: str = "hash") -> Map:
    memory = entries * (HASH_ENTRY + -(-key // 8) * 8 + -(-value // 8) * 8)
    return Map(name, kind, key, value, entries, memory)


def _lru(name: str, value: int, wanted: int, cpus: int, key: int = 4) -> Map:
    return _hash(name, value, fit_lru(wanted, cpus), key, "LRU hash")
