"""Compile with BCC: from C to an image. Only this module imports bcc."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from etracee.fragments import c_ident
from etracee.kernel.bpf import MapDefinition, read_definition
from etracee.kernel.probe import find_tracefs
from etracee.plan import Hook, Plan
from etracee.problems import host_lacks
from etracee.resources import bundled
from etracee.runtime.image import (
    GENERATION,
    Branch,
    Function,
    Image,
    Stub,
    compile_decoder,
    read_function,
)
from etracee.runtime.load import refused
from etracee.runtime.loaded import Place

PROGRAM, OFFSETS = "program.c", "offsets.h"
"""Names of the files that a program is compiled from, within its directory."""
_NO_TARGETS: Mapping[str, int] = {}
_GENERATION = f'({{ u64 mark; asm("%0 = {GENERATION:#x} ll" : "=r"(mark)); mark; }})'
"""C that leaves a mark in the instructions, which no optimisation takes apart."""


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


def compile_image(
    plan: Plan,
    directory: Path,
    decoder: str,
    files: tuple[str, ...],
    notes: Iterable[str],
    targets: Mapping[str, int] = _NO_TARGETS,
) -> Image:
    """Compile the program in `directory`, and return it with its decoder's source and notes.

    `targets` are the BTF ids of the kernel's functions that the plan has hooks at. Of the hooks,
    those are left out that this kernel has not. ProblemsError with what clang said when it refuses
    the program.
    """
    bpf = _compile(directory)
    told = plan.find_told()
    hooks = [hook for hook in plan.hooks if _is_offered(hook)]
    maps = _read_maps(bpf)
    names = {descriptor: definition.name for descriptor, definition in maps.items()}

    def function(name: str, kind: str, place: str = "") -> Function:
        code, target = bpf.dump_func(name.encode()), targets.get(place, 0)
        return read_function(name, kind, code, names, target)

    return Image(
        attach=plan.attach,
        typed_loads=plan.typed_loads,
        profile=plan.profile,
        version=plan.version,
        files=files,
        notes=(*notes, *_notes_of(plan.hooks, hooks)),
        maps=tuple(maps.values()),
        contents=tuple(_contents(plan)),
        functions=tuple(function(h.function, h.kind, h.name) for h in hooks),
        branches=tuple(
            Branch(function(branch.function, "raw_tracepoint"), branch.slots)
            for branch in plan.branches
        ),
        stubs=tuple(
            Stub(function(stub, hook.kind, hook.name), hook.name)
            for stub, hook in {hook.stub: hook for hook in hooks}.items()
        ),
        places=tuple(_place(hook, targets, told) for hook in hooks),
        decoder=decoder,
        python=importlib.util.MAGIC_NUMBER,
        compiled=compile_decoder(decoder),
    )


def _place(hook: Hook, targets: Mapping[str, int], told: Mapping[str, str]) -> Place:
    return Place(
        function=hook.function,
        kind=hook.kind,
        target=targets.get(hook.name, 0),
        slots=hook.slots,
        slot=hook.slot,
        stub=hook.stub,
        tells=told.get(hook.stub),
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


def _compile(directory: Path) -> Any:
    headers = bundled("templates") / "bpf"
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    bcc = import_bcc()
    text = (directory / PROGRAM).read_bytes()
    flags = [f"-I{directory}", f"-I{headers / 'include'}", "-Wno-unused-function"]
    flags += [f"-DGENERATION={_GENERATION}", "-g0"]  # nobody reads what BCC asks for to debug
    with _collect_stderr() as said, _without_kernel_symbols():
        try:
            return bcc.BPF(text=text, cflags=flags)
        except Exception as error:
            raise refused("clang refuses the program", said(), str(error)) from None


def _read_maps(bpf: Any) -> dict[int, MapDefinition]:
    """Return how each map is made, by the descriptor that BCC's instructions name it by."""
    from bcc.libbcc import lib

    # BCC's bindings do not declare these: pointers would be cut to 32 bits.
    module, index_type = ctypes.c_void_p, ctypes.c_size_t
    count = ctypes.CFUNCTYPE(ctypes.c_size_t, module)(("bpf_num_tables", lib))
    name_of = ctypes.CFUNCTYPE(ctypes.c_char_p, module, index_type)(("bpf_table_name", lib))
    descriptor_of = ctypes.CFUNCTYPE(ctypes.c_int, module, index_type)(("bpf_table_fd_id", lib))
    found = {}
    for index in range(count(bpf.module)):
        descriptor = descriptor_of(bpf.module, index)
        found[descriptor] = read_definition(name_of(bpf.module, index).decode(), descriptor)
    return found


def _contents(plan: Plan) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield map, key and value of what the program's constants fill maps with."""
    for trie in plan.tries:
        for prefix, mask in trie.entries:
            key, value = trie.encode_key(prefix), trie.encode_mask(mask)
            yield f"{c_ident(trie.field)}_trie", key, value
    for grams in plan.grams:
        yield f"{c_ident(grams.field)}_grams", bytes(4), grams.encode()


_GET_SECUREBITS, _SET_SECUREBITS, _NO_SETUID_FIXUP = 27, 28, 1 << 2
"""prctl(2), and capabilities(7): capabilities stay what they are when the user changes."""
_NOBODY = 65534


@contextlib.contextmanager
def _without_kernel_symbols() -> Iterator[None]:
    """Keep BCC from reading the kernel's symbols, which takes 40 % of a compilation.

    It reads them to see whether the kernel has helpers that we name by number, and only as root
    (bcc_procutils_each_ksym, src/cc/bcc_proc.cc): so we are another user meanwhile, with the
    capabilities of root. Where that cannot be, it only takes longer.
    """
    user, prctl = os.geteuid(), ctypes.CDLL(None).prctl
    bits = prctl(_GET_SECUREBITS, 0, 0, 0, 0)
    if user != 0 or prctl(_SET_SECUREBITS, bits | _NO_SETUID_FIXUP, 0, 0, 0) != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        prctl(_SET_SECUREBITS, bits, 0, 0, 0)


@contextlib.contextmanager
def _collect_stderr() -> Iterator[Any]:
    """Keep what BCC and clang print on descriptor 2, and give it to whoever asks."""
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
