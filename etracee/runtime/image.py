"""A compiled program before it is in a kernel: all that the monitor needs to begin with it.

Its instructions name maps by index, and the generation by a mark; load.py puts descriptors and
numbers there. So it can be kept in a file, and serves as long as the kernel and etracee are the
same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import struct
from collections.abc import Mapping
from types import ModuleType

import msgspec

from etracee.kernel.bpf import MapDefinition
from etracee.runtime.loaded import Place

GENERATION = 0x6574_7261_6365_6501
"""What stands in the instructions in place of the generation's number, as a 64-bit constant."""
_LOAD_64, _MAP_FD = 0x18, 1
"""The instruction that loads 64 bits, of two slots, and its source register where they are a map's
descriptor: BPF_LD | BPF_IMM | BPF_DW, BPF_PSEUDO_MAP_FD of include/uapi/linux/bpf.h."""
_INSTRUCTION = struct.Struct("<BBhI")
"""Operation, registers, offset, constant; the second slot has the constant's high half."""

_SEAL = b"etracee image 1\n"


class ImageError(Exception):
    """These bytes are no image: `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Function(msgspec.Struct, frozen=True, array_like=True):
    """A function's instructions, and at which of them maps (by name) and the generation stand.

    `target` is the BTF id of the kernel's function that it is for, 0 where it is for none.
    """

    name: str
    kind: str
    code: bytes
    maps: tuple[tuple[int, str], ...]
    generations: tuple[int, ...]
    target: int = 0

    def link(self, maps: Mapping[str, int], generation: int) -> bytes:
        """Return the instructions with descriptors of maps and the number in their places."""
        code = bytearray(self.code)
        for at, value in (
            *((at, maps[name]) for at, name in self.maps),
            *((at, generation) for at in self.generations),
        ):
            struct.pack_into("<I", code, at * 8 + 4, value)
            struct.pack_into("<I", code, at * 8 + 12, 0)
        return bytes(code)


class Branch(msgspec.Struct, frozen=True, array_like=True):
    """A function for one event, which others go on to from `slots` of the program's own array."""

    function: Function
    slots: tuple[int, ...]


class Stub(msgspec.Struct, frozen=True, array_like=True):
    """What is attached to the tracepoint or function `hook`, and calls what is in its slot."""

    function: Function
    hook: str


class Image(msgspec.Struct, frozen=True):
    """A program, its maps and what is in them, and the decoder of its records.

    `contents` are map, key and value. `files` are those the profile was read from, `notes` are for
    the user. `decoder` is Python's source, `compiled` the code that the Python `python` made of it.
    """

    attach: str
    typed_loads: bool
    profile: str
    version: str | None
    files: tuple[str, ...]
    notes: tuple[str, ...]
    maps: tuple[MapDefinition, ...]
    contents: tuple[tuple[str, bytes, bytes], ...]
    functions: tuple[Function, ...]
    branches: tuple[Branch, ...]
    stubs: tuple[Stub, ...]
    places: tuple[Place, ...]
    decoder: str
    python: bytes
    compiled: bytes

    def fits(self, attach: str, *, typed_loads: bool) -> bool:
        """Say whether it can take the place of a program that is attached so."""
        return (self.attach, self.typed_loads) == (attach, typed_loads)

    @property
    def code(self) -> bytes:
        """Return the decoder's code for this Python."""
        is_ours = self.python == importlib.util.MAGIC_NUMBER
        return self.compiled if is_ours else compile_decoder(self.decoder)


def read_function(
    name: str, kind: str, code: bytes, maps: Mapping[int, str], target: int = 0
) -> Function:
    """Return the function of these instructions; `maps` are the names by descriptor."""
    uses, generations, is_second = [], [], False
    for at, (operation, registers, _, low) in enumerate(_INSTRUCTION.iter_unpack(code)):
        if is_second or operation != _LOAD_64:
            is_second = False
            continue
        is_second = True
        high = _INSTRUCTION.unpack_from(code, (at + 1) * _INSTRUCTION.size)[3]
        if registers >> 4 == _MAP_FD:
            uses.append((at, maps[low]))
        elif high << 32 | low == GENERATION:
            generations.append(at)
    return Function(name, kind, code, tuple(uses), tuple(generations), target)


def compile_decoder(source: str) -> bytes:
    """Return the code of a decoder, as this Python keeps it."""
    return marshal.dumps(compile(source, "<decoder>", "exec", dont_inherit=True))


def import_decoder(code: bytes) -> ModuleType:
    """Return the module of a decoder's code."""
    module = ModuleType("etracee_decoder")
    exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 - as much a program as etracee is
    return module


def seal(content: bytes) -> bytes:
    """Return the bytes of a file: what it is, a checksum, and `content`."""
    return b"".join((_SEAL, hashlib.sha256(content).digest(), content))


def unseal(data: bytes) -> memoryview:
    """Return the content of a file; ImageError where it is another's, cut, or damaged."""
    if not data.startswith(_SEAL):
        raise ImageError("it was not written by this version of etracee")
    start = len(_SEAL) + hashlib.sha256().digest_size
    content = memoryview(data)[start:]
    if hashlib.sha256(content).digest() != data[len(_SEAL) : start]:
        raise ImageError("it is cut or damaged")
    return content
