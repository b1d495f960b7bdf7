"""Compile with BCC, load and attach. Only this module imports bcc."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from etracee.fragments import c_ident
from etracee.kernel.bpf import Map
from etracee.kernel.probe import find_tracefs
from etracee.plan import Hook, Plan
from etracee.problems import ExitCode, Problem, ProblemsError, host_lacks
from etracee.processes import ancestors
from etracee.resources import bundled
from etracee.runtime.handover import BRANCHES, OWN_MAPS, SHARED_MAPS, Loaded, Place, Running

PROGRAM, OFFSETS = "program.c", "offsets.h"
"""Names of the files that a program is compiled from, within its directory."""
_MAPS = (*SHARED_MAPS, *OWN_MAPS)


def import_bcc() -> Any:
    """Return the module bcc of the distribution; ProblemsError says how to get it.

    PyPI has a package of that name that is something else, so the class is looked at too.
    """
    try:
        import bcc

        bcc.BPF  # noqa: B018 - the other package has none
    except (ImportError, AttributeError) as error:
        raise host_lacks(
            f"BCC's Python bindings cannot be imported: {error}",
            "run ./setup.sh, or install python3-bpfcc (Debian, Ubuntu) or python3-bcc "
            "(openEuler, Fedora) and use the distribution's python3",
        ) from None
    return bcc


def load_and_attach(plan: Plan, directory: Path, running: Running | None) -> Loaded:
    """Compile the program in `directory`, load it, and attach the stubs of its hooks.

    With `running`, only those are attached that are not yet, and the maps are shared that hold what
    outlives a program. ProblemsError with what clang or the verifier said when they refuse it.
    """
    generation = running.generation if running else 0
    bcc, bpf = _compile(directory, generation)
    maps = _find_maps(bpf)
    notes = _share(maps, running.maps) if running else ()
    hooks = [hook for hook in plan.hooks if _is_offered(hook)]
    _fill_maps(plan, bpf)
    _protect(bpf)
    attached = running.attached if running else frozenset()
    new = {hook.stub: hook for hook in hooks if hook.stub not in attached}
    stubs = {name: _load(bcc, bpf, hook.kind, name) for name, hook in new.items()}
    _fill_branches(plan, bcc, bpf)
    return Loaded(
        generation=generation,
        places=tuple(Place(h.function, h.slots, h.slot, h.stub) for h in hooks),
        maps={name: fd for name, fd in maps.items() if not running or name not in running.maps},
        programs={hook.function: _load(bcc, bpf, hook.kind, hook.function) for hook in hooks},
        stubs=stubs,
        links={name: _attach(hook, stubs[name]) for name, hook in new.items()},
        attach=plan.attach,
        typed_loads=plan.typed_loads,
        profile=plan.profile,
        version=plan.version,
        files=(),
        notes=(*notes, *_notes_of(plan.hooks, hooks)),
    )


def _is_offered(hook: Hook) -> bool:
    """Say whether the kernel was built with the call that is hooked; others it need not have."""
    tracefs = find_tracefs()
    if hook.kind != "tracepoint" or tracefs is None:
        return True
    return (tracefs / "events" / hook.name.replace(":", "/")).is_dir()


def _notes_of(wanted: Iterable[Hook], offered: Iterable[Hook]) -> tuple[str, ...]:
    """Tell of the calls that this kernel answers with ENOSYS, and which therefore go unseen."""
    missing = sorted({hook.event for hook in set(wanted) - set(offered) if hook.event})
    if not missing:
        return ()
    return (f"note: this kernel was built without {', '.join(missing)}: attempts are not seen",)


def _compile(directory: Path, generation: int) -> tuple[Any, Any]:
    headers = bundled("templates") / "bpf"
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    bcc = import_bcc()
    text = (directory / PROGRAM).read_bytes()
    flags = [f"-I{directory}", f"-I{headers / 'include'}", "-Wno-unused-function"]
    flags.append(f"-DGENERATION={generation}")
    with _collect_stderr() as said:
        try:
            return bcc, bcc.BPF(text=text, cflags=flags)
        except Exception as error:
            raise _refused("clang refuses the program", said(), str(error)) from None


def _find_maps(bpf: Any) -> dict[str, int]:
    from bcc.libbcc import lib

    found = {name: lib.bpf_table_fd(bpf.module, name.encode()) for name in _MAPS}
    return {name: descriptor for name, descriptor in found.items() if descriptor >= 0}


def _share(maps: Mapping[str, int], running: Mapping[str, int]) -> tuple[str, ...]:
    """Let the descriptors in `maps` mean the maps of the program that runs; return notes.

    Instructions name maps by descriptor until they are loaded, so this has to happen before.
    """
    notes = []
    for name in maps.keys() & running.keys():
        new, old = Map.of(maps[name]), Map.of(running[name])
        if (new.key_size, new.value_size) != (old.key_size, old.value_size):
            what = f"the map {name} of the program that runs is of another make"
            raise host_lacks(what, "etracee was changed meanwhile; restart it")
        if name == "events" and new.max_entries != old.max_entries:
            notes.append(f"note: ring_buffer stays {old.max_entries} bytes until a restart")
        os.dup2(running[name], maps[name], inheritable=False)
    return tuple(notes)


def _protect(bpf: Any) -> None:
    """Keep rules from ending process 1, the monitor, which waits for us, or what started it."""
    from bcc.libbcc import lib

    descriptor = lib.bpf_table_fd(bpf.module, b"protected")
    for pid in {1, *ancestors(os.getppid())} if descriptor >= 0 else ():
        Map.of(descriptor).update(struct.pack("<I", pid), bytes(4))


def _fill_maps(plan: Plan, bpf: Any) -> None:
    from bcc.libbcc import lib

    for trie in plan.tries:
        table = Map.of(lib.bpf_table_fd(bpf.module, f"{c_ident(trie.field)}_trie".encode()))
        for prefix, mask in trie.entries:
            table.update(trie.encode_key(prefix), trie.encode_mask(mask))
    for grams in plan.grams:
        table = Map.of(lib.bpf_table_fd(bpf.module, f"{c_ident(grams.field)}_grams".encode()))
        table.update(bytes(4), grams.encode())


def _fill_branches(plan: Plan, bcc: Any, bpf: Any) -> None:
    """Load the functions for one event each, and put them where the hooks' functions find them."""
    from bcc.libbcc import lib

    for branch in plan.branches:
        program = _load(bcc, bpf, "raw_tracepoint", branch.function)
        table = Map.of(lib.bpf_table_fd(bpf.module, BRANCHES.encode()))
        for slot in branch.slots:
            table.update(struct.pack("<I", slot), struct.pack("<I", program))


def _load(bcc: Any, bpf: Any, kind: str, function: str) -> int:
    kinds = {"tracepoint": bcc.BPF.TRACEPOINT, "raw_tracepoint": bcc.BPF.RAW_TRACEPOINT}
    with _collect_stderr() as said:
        try:
            return int(bpf.load_func(function.encode(), kinds[kind]).fd)
        except Exception as error:
            what = f"the kernel's verifier refuses {function}"
            raise _refused(what, said(), str(error)) from None


def _attach(hook: Hook, program: int) -> int:
    from bcc.libbcc import lib

    if hook.kind == "tracepoint":
        group, _, name = hook.name.partition(":")
        result = lib.bpf_attach_tracepoint(program, group.encode(), name.encode())
    else:
        result = lib.bpf_attach_raw_tracepoint(program, hook.name.encode())
    if result < 0:
        code = ctypes.get_errno()
        hint = "this kernel has no such tracepoint; `etracee doctor` says what it offers"
        raise host_lacks(f"cannot attach to {hook.name}: {os.strerror(code)}", hint)
    return int(result)


@contextlib.contextmanager
def _collect_stderr() -> Iterator[Any]:
    """Keep what BCC, clang and libbpf print on descriptor 2, and give it to whoever asks."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def said() -> str:
            file.seek(0)
            return file.read().decode("utf-8", "replace")

        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _refused(what: str, said: str, error: str) -> ProblemsError:
    lines = [line for line in said.splitlines() if line.strip()] or [error]
    told = [line for line in lines if "error:" in line][:10] or lines[-10:]
    problems = [
        Problem(None, what, "this is a fault of etracee's; please report it with this text")
    ]
    problems += (Problem(None, line) for line in told)
    return ProblemsError(problems, ExitCode.INTERNAL)
