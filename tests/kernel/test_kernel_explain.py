"""What is explained of a program, held against the maps and programs that the kernel has of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hostc
import pytest

from etracee.explain import Attachment, explain
from etracee.explain.model import Map
from etracee.kernel.bpf import create_map, possible_cpus
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import render_offsets
from etracee.plan import Plan, Request, make_plan
from etracee.render import render_program
from etracee.runtime.clang import OFFSETS, PROGRAM, compile_image
from etracee.source_set import SourceSet, load_source_set

RULE = {
    "id": "r",
    "title": "R",
    "events": ["$open"],
    "condition": f"filename in ({', '.join(f'/etc/{n}' for n in range(40))}) and path exists",
    "actions": ["kill"],
}
KINDS = {
    1: "hash",
    2: "array",
    3: "program array",
    6: "per-CPU array",
    9: "LRU hash",
    11: "LPM trie",
    27: "ring buffer",
}
"""Of enum bpf_map_type, include/uapi/linux/bpf.h."""


@pytest.mark.filterwarnings("ignore:not a bytes object:DeprecationWarning")
@pytest.mark.parametrize("tree", [False, True])
def test_maps_are_those_of_the_kernel(host: None, tmp_path: Path, tree: bool) -> None:
    source, plan = _plan(tmp_path, {"execve": {}, "exit": {}}, tree)
    said = explain(source, plan, Attachment("tracepoint", ""), possible_cpus())
    real = {m.name: m for m in _real_maps(tmp_path, plan)}
    told = {m.name: m for m in said.maps}
    assert told.keys() == real.keys()
    for name, found in real.items():
        assert told[name].kind == found.kind
        assert (told[name].key_bytes, told[name].entries) == (found.key_bytes, found.entries)
        if name == "walks":  # its size follows from the kernel's structures
            assert abs(told[name].value_bytes - found.value_bytes) < 256
        else:
            assert told[name].value_bytes == found.value_bytes
        if found.memory > 4096:
            assert told[name].memory / found.memory > 0.5, name
            assert told[name].memory / found.memory < 2 or _is_content_only(found), name


def _is_content_only(found: Map) -> bool:
    """Return whether the kernel counts keys and values alone, as it does before 6.4.

    There it is bpf_map_memory_footprint of kernel/bpf/syscall.c.
    """
    entry = -(-(found.key_bytes + found.value_bytes) // 8) * 8
    return found.memory == -(-found.entries * entry // 4096) * 4096


def _plan(directory: Path, events: Mapping[str, Any], tree: bool) -> tuple[SourceSet, Plan]:
    profile = hostc.write_yaml(directory / "p.yaml", {"name": "test", "events": events})
    rules = hostc.write_yaml(directory / "r.yaml", {"rules": [RULE]})
    source = load_source_set(str(profile), (str(rules),))
    request = Request(tree=tree, allow_actions=True)
    return source, make_plan(source.profile, source.rules, request, source.catalog)


def _real_maps(directory: Path, plan: Plan) -> Iterator[Map]:
    """Yield the maps that are made for the program on this host, as the kernel describes them."""
    program = render_program(plan)
    with Btf() as btf:
        (directory / OFFSETS).write_text(render_offsets(btf, program.offsets))
    (directory / PROGRAM).write_text(program.c)
    for definition in compile_image(plan, directory, program.python, (), ()).maps:
        descriptor = create_map(definition)
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        os.close(descriptor)
        told = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
        yield Map(
            name=definition.name,
            kind=KINDS[int(told["map_type"])],
            key_bytes=int(told["key_size"]),
            value_bytes=int(told["value_size"]),
            entries=int(told["max_entries"]),
            memory=int(told["memlock"]),
        )
