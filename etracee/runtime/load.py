"""From an image to a program in the kernel, by bpf(2) alone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from etracee.kernel.bpf import (
    ATTACH_TYPES,
    Map,
    MapDefinition,
    attach_function,
    attach_raw_tracepoint,
    create_map,
    load_program,
    read_definition,
)
from etracee.kernel.perf import attach_tracepoint
from etracee.kernel.probe import TRACEFS, find_interruption, find_tracefs
from etracee.problems import ExitCode, Problem, ProblemsError, host_lacks
from etracee.processes import ancestors
from etracee.runtime.image import Branch, Function, Image, Stub
from etracee.runtime.loaded import (
    BRANCHES,
    OWN_MAPS,
    Loaded,
    Running,
    close,
    shared_maps,
)

_PROTECTED = "protected"
"""The map of the processes that rules must not end."""
_LOG_SIZE = 1 << 22


def load_image(image: Image, running: Running | None, monitor: int) -> Loaded:
    """Load a program, and attach the stubs of its hooks; `monitor` is the monitor's process id.

    With `running`, only those are attached that are not yet, and the maps are shared that hold what
    outlives a program. ProblemsError with what the verifier said when it refuses a function, or the
    kernel when it refuses anything else.
    """
    interruption = find_interruption() if image.attach == "fentry" else None
    if interruption:
        hint = "attach: tracepoint does without such programs"
        raise host_lacks(f"attach: fentry cannot be used: {interruption}", hint)
    try:
        return _load_image(image, running or _NOTHING, monitor)
    except OSError as error:
        hint = "run as root (sudo); `etracee doctor` says what else may stand in the way"
        raise host_lacks(f"the kernel refuses the program: {error.strerror}", hint) from None


def try_image(image: Image) -> None:
    """Load a program and let it go, attached to nothing; ProblemsError as load_image()."""
    stubs = frozenset(stub.function.name for stub in image.stubs)
    close(load_image(image, replace(_NOTHING, attached=stubs), os.getpid()))


_NOTHING = Running(0, {}, frozenset(), "", typed_loads=False)
"""What runs before the first program."""


def _load_image(image: Image, running: Running, monitor: int) -> Loaded:
    shared = running.maps
    stubs = [stub for stub in image.stubs if stub.function.name not in running.attached]
    wanted = shared_maps(image.places).union(OWN_MAPS)
    with contextlib.ExitStack() as kept, contextlib.ExitStack() as needed:
        maps, notes = _open_maps(image.maps, shared, wanted, kept, needed)
        _fill(image, maps, monitor)
        branches = (branch.function for branch in image.branches)
        functions = [*image.functions, *branches, *(stub.function for stub in stubs)]
        programs = _load_all(functions, maps, running.generation, kept)
        _fill_branches(image.branches, maps, programs)
        links = {}
        for name, stub in {stub.function.name: stub for stub in stubs}.items():
            links[name] = _attach(stub, programs[name])
            kept.callback(os.close, links[name])
        kept.pop_all()
    for branch in image.branches:
        os.close(programs[branch.function.name])
    return Loaded(
        generation=running.generation,
        places=image.places,
        maps={name: fd for name, fd in maps.items() if name in wanted - shared.keys()},
        programs={function.name: programs[function.name] for function in image.functions},
        stubs={name: programs[name] for name in links},
        links=links,
        attach=image.attach,
        typed_loads=image.typed_loads,
        profile=image.profile,
        version=image.version,
        files=image.files,
        notes=(*image.notes, *notes),
    )


def _open_maps(
    definitions: Iterable[MapDefinition],
    shared: Mapping[str, int],
    wanted: Container[str],
    kept: contextlib.ExitStack,
    needed: contextlib.ExitStack,
) -> tuple[dict[str, int], list[str]]:
    """Return the descriptors of all maps, and notes.

    What only programs need is closed with `needed`, what is `wanted` by the monitor with `kept`.
    """
    maps, notes = dict(shared), list[str]()
    for definition in definitions:
        if definition.name in shared:
            notes += _check_shared(definition, shared[definition.name])
        else:
            maps[definition.name] = create_map(definition)
            owner = kept if definition.name in wanted else needed
            owner.callback(os.close, maps[definition.name])
    return maps, notes


def _check_shared(new: MapDefinition, descriptor: int) -> Iterator[str]:
    """Yield what there is to say when `new` is to be the map that is there already."""
    old = read_definition(new.name, descriptor)
    if (new.key_size, new.value_size) != (old.key_size, old.value_size):
        what = f"the map {new.name} of the program that runs is of another make"
        raise host_lacks(what, "etracee was changed meanwhile; restart it")
    if new.name == "events" and new.max_entries != old.max_entries:
        yield f"note: ring_buffer stays {old.max_entries} bytes until a restart"


def _fill(image: Image, maps: Mapping[str, int], monitor: int) -> None:
    """Put into maps what the program's constants are, and whom no rule may end.

    Those are process 1, the monitor, and what started it.
    """
    tables = {name: Map.of(maps[name]) for name in {name for name, _, _ in image.contents}}
    for name, key, value in image.contents:
        tables[name].update(key, value)
    if _PROTECTED in maps:
        protected = Map.of(maps[_PROTECTED])
        for pid in {1, *ancestors(monitor)}:
            protected.update(struct.pack("<I", pid), bytes(4))


def _fill_branches(
    branches: Iterable[Branch], maps: Mapping[str, int], programs: Mapping[str, int]
) -> None:
    """Put the functions for one event each where the others find them."""
    for branch in branches:
        table, program = Map.of(maps[BRANCHES]), programs[branch.function.name]
        for slot in branch.slots:
            table.update(struct.pack("<I", slot), struct.pack("<I", program))


def _load_all(
    functions: Sequence[Function],
    maps: Mapping[str, int],
    generation: int,
    kept: contextlib.ExitStack,
) -> dict[str, int]:
    """Load the functions, and return their descriptors by name; they are closed with `kept`.

    The verifier takes most of the time, and works for each on its own: all processors are used.
    """
    waiting = sorted(functions, key=lambda function: len(function.code))
    programs: dict[str, int] = {}
    problems: list[Exception] = []

    def work() -> None:
        while waiting and not problems:
            with contextlib.suppress(IndexError):
                function = waiting.pop()
                try:
                    programs[function.name] = _load(function, maps, generation)
                except Exception as error:
                    problems.append(error)

    workers = min(len(os.sched_getaffinity(0)), len(functions))
    threads = [threading.Thread(target=work) for _ in range(workers - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    for descriptor in programs.values():
        kept.callback(os.close, descriptor)
    if problems:
        raise problems[0]
    return programs


def _load(function: Function, maps: Mapping[str, int], generation: int) -> int:
    code = function.link(maps, generation)
    with contextlib.suppress(OSError):
        return load_program(function.kind, code, function.target, name=function.name)
    log = ctypes.create_string_buffer(_LOG_SIZE)
    try:
        return load_program(function.kind, code, function.target, name=function.name, log=log)
    except OSError as error:
        what = f"the kernel's verifier refuses {function.name}"
        said = log.value.decode("utf-8", "replace")
        raise refused(what, said, str(error.strerror)) from None


def _attach(stub: Stub, program: int) -> int:
    try:
        if stub.function.kind == "raw_tracepoint":
            return attach_raw_tracepoint(stub.hook, program)
        if stub.function.kind in ATTACH_TYPES:
            return attach_function(program)
        tracefs = find_tracefs()
        if tracefs is None:
            hint = f"mount -t tracefs tracefs {TRACEFS}"
            raise host_lacks(f"cannot attach to {stub.hook}: tracefs is not mounted", hint)
        return attach_tracepoint(tracefs, stub.hook, program)
    except OSError as error:
        hint = "`etracee doctor` says what this kernel offers; options.attach names other ways"
        raise host_lacks(f"cannot attach to {stub.hook}: {error.strerror}", hint) from None


def refused(what: str, said: str, error: str) -> ProblemsError:
    """Return the exception for a program that clang or the kernel refuses, with what it said."""
    lines = [line for line in said.splitlines() if line.strip()] or [error]
    told = [line for line in lines if "error:" in line][:10] or lines[-10:]
    problems = [
        Problem(None, what, "this is a fault of etracee's; please report it with this text")
    ]
    problems += (Problem(None, line) for line in told)
    return ProblemsError(problems, ExitCode.INTERNAL)
