"""Struct layouts from BTF, the type information that the kernel carries about itself.

libbpf reads it (`libbpf.so.1`, which BCC's library links anyway). The format is that of the
kernel's Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from etracee.problems import host_lacks, wrong

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_KIND_PTR, _KIND_ARRAY, _KIND_STRUCT, _KIND_UNION = 2, 3, 4, 5
_KIND_ENUM, _KIND_FUNC, _KIND_FUNC_PROTO = 6, 12, 13
_KIND_TYPEDEF, _KIND_VOLATILE, _KIND_CONST, _KIND_RESTRICT = 8, 9, 10, 11
_TRANSPARENT = {_KIND_TYPEDEF, _KIND_VOLATILE, _KIND_CONST, _KIND_RESTRICT}


class _Type(ctypes.Structure):
    """`struct btf_type` of include/uapi/linux/btf.h; the kind's own data follow it."""

    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("info", ctypes.c_uint32),
        ("size_or_type", ctypes.c_uint32),
    )

    @property
    def kind(self) -> int:
        return int(self.info >> 24) & 0x1F

    @property
    def vlen(self) -> int:
        return int(self.info) & 0xFFFF


class _Member(ctypes.Structure):
    """`struct btf_member`; with `kind_flag` set, the offset's top 8 bits are a bit-field's size."""

    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
    )


class _Constant(ctypes.Structure):
    """`struct btf_enum`."""

    _fields_ = (("name_off", ctypes.c_uint32), ("value", ctypes.c_int32))


class _Parameter(ctypes.Structure):
    """`struct btf_param`."""

    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32))


@dataclass(frozen=True)
class MemberAt:
    """Where a member lies: bytes from the start of the struct, and its BTF type."""

    offset: int
    type_id: int


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        raise host_lacks(
            "libbpf.so.1 is missing",
            "install it with BCC: apt install python3-bpfcc, or dnf install python3-bcc libbpf",
        ) from None
    lib.btf__parse.restype = ctypes.c_void_p
    lib.btf__parse.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    lib.btf__free.argtypes = [ctypes.c_void_p]
    lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    lib.btf__type_by_id.restype = ctypes.c_void_p
    lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__name_by_offset.restype = ctypes.c_char_p
    lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.libbpf_set_print.argtypes = [ctypes.c_void_p]
    lib.libbpf_set_print.restype = ctypes.c_void_p
    lib.libbpf_set_print(None)
    return lib


class Btf:
    """The types of one kernel; use it as a context manager, so that libbpf's copy is freed."""

    def __init__(self, path: Path = VMLINUX) -> None:
        """Parse raw BTF or an ELF file with a .BTF section.

        Raises ProblemsError when the file is missing (exit code 3 for the running kernel, 2 for a
        file that the user named) or is no BTF.
        """
        self._lib = _library()
        self._handle: int | None = None
        try:
            is_there = path.is_file()
        except OSError as error:  # such as a name of more than 255 bytes
            raise wrong(None, f"cannot read {path}: {error.strerror}") from None
        if not is_there:
            raise _missing(path)
        ctypes.set_errno(0)
        handle = self._lib.btf__parse(str(path).encode(), None)
        if not handle:
            raise wrong(None, f"{path} holds no BTF that libbpf can read")
        self._handle = handle

    def __enter__(self) -> Btf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lib.btf__free(self._handle)
        self._handle = None

    def offset_of(self, path: str) -> int | None:
        """Return the byte offset of `struct.member.member…`, or None if this kernel has no such.

        Anonymous structs and unions are looked through; `member[3]` counts array elements, as does
        `member[NAME]` by the name of an enum's constant.
        """
        struct, *members = path.split(".")
        type_id = self._lib.btf__find_by_name_kind(self._handle, struct.encode(), _KIND_STRUCT)
        if type_id < 0:
            return None
        offset = 0
        for name in members:
            found = self._step(type_id, name)
            if found is None:
                return None
            offset, type_id = offset + found.offset, found.type_id
        return offset

    def function_id(self, name: str) -> int | None:
        """Return the type id of a kernel function, to which a program may attach, or None."""
        found = int(self._lib.btf__find_by_name_kind(self._handle, name.encode(), _KIND_FUNC))
        return found if found >= 0 else None

    def function_ids(self, names: Iterable[str]) -> dict[str, int]:
        """Return the type ids of those of the functions that the kernel has, by name."""
        found = {name: self.function_id(name) for name in names}
        return {name: type_id for name, type_id in found.items() if type_id is not None}

    def parameters_of(self, typedef: str) -> list[str] | None:
        """Return what the parameters of a function's pointer type point to, or None if unknown.

        For each the name of a structure, or "" where it points to none.
        """
        found = self._lib.btf__find_by_name_kind(self._handle, typedef.encode(), _KIND_TYPEDEF)
        if found < 0:
            return None
        pointer, _ = self._type(self._resolve(found))
        holder, data = self._type(pointer.size_or_type)
        if pointer.kind != _KIND_PTR or holder.kind != _KIND_FUNC_PROTO:
            return None
        parameters = (_Parameter * holder.vlen).from_address(data)
        return [self._target(parameter.type) for parameter in parameters]

    def _target(self, type_id: int) -> str:
        """Return the name of the structure that a pointer type points to, or ""."""
        pointer, _ = self._type(self._resolve(type_id))
        if pointer.kind != _KIND_PTR or not pointer.size_or_type:
            return ""
        target, _ = self._type(self._resolve(pointer.size_or_type))
        return self._name(target.name_off) if target.kind == _KIND_STRUCT else ""

    def _step(self, type_id: int, name: str) -> MemberAt | None:
        name, _, index = name.rstrip("]").partition("[")
        found = self._member(self._resolve(type_id), name)
        if found is None or not index:
            return found
        element, size = self._element(found.type_id)
        number = int(index) if index.isdecimal() else self._constants.get(index)
        return None if number is None else MemberAt(found.offset + number * size, element)

    @functools.cached_property
    def _constants(self) -> dict[str, int]:
        """The constants of `enum cgroup_subsys_id`, which a kernel's configuration numbers."""
        type_id = self._lib.btf__find_by_name_kind(self._handle, b"cgroup_subsys_id", _KIND_ENUM)
        if type_id < 0:
            return {}
        holder, data = self._type(type_id)
        members = (_Constant * holder.vlen).from_address(data)
        return {self._name(member.name_off): member.value for member in members}

    def _name(self, offset: int) -> str:
        return (self._lib.btf__name_by_offset(self._handle, offset) or b"").decode()

    def _type(self, type_id: int) -> tuple[_Type, int]:
        address = self._lib.btf__type_by_id(self._handle, type_id)
        return _Type.from_address(address), address + ctypes.sizeof(_Type)

    def _resolve(self, type_id: int) -> int:
        """Look through typedefs and qualifiers."""
        kind, _ = self._type(type_id)
        while kind.kind in _TRANSPARENT:
            type_id = kind.size_or_type
            kind, _ = self._type(type_id)
        return type_id

    def _member(self, type_id: int, name: str) -> MemberAt | None:
        holder, data = self._type(type_id)
        if holder.kind not in (_KIND_STRUCT, _KIND_UNION):
            return None
        bit_fields = bool(holder.info >> 31)
        for member in (_Member * holder.vlen).from_address(data):
            bits = member.offset & 0xFFFFFF if bit_fields else member.offset
            label = self._name(member.name_off)
            if label == name:
                return MemberAt(bits // 8, member.type)
            inner = None if label else self._member(self._resolve(member.type), name)
            if inner:
                return MemberAt(bits // 8 + inner.offset, inner.type_id)
        return None

    def _element(self, type_id: int) -> tuple[int, int]:
        """Return an array's element type and that type's size in bytes."""
        _, data = self._type(self._resolve(type_id))
        element = ctypes.c_uint32.from_address(data).value
        kind, _ = self._type(self._resolve(element))
        return element, 8 if kind.kind == _KIND_PTR else kind.size_or_type


@contextlib.contextmanager
def open_btf(path: Path = VMLINUX) -> Iterator[Btf | None]:
    """Yield the types of a kernel, or None where the running one offers none."""
    if path == VMLINUX and not path.is_file():
        yield None
        return
    with Btf(path) as btf:
        yield btf


def lacking_functions(kernel: Btf | None, names: frozenset[str]) -> frozenset[str]:
    """Return those of the functions that a kernel has not, as far as its types are known."""
    return names - kernel.function_ids(sorted(names)).keys() if kernel else frozenset()


def _missing(path: Path) -> Exception:
    if path == VMLINUX:
        return host_lacks(
            f"this kernel offers no BTF ({path} is missing)",
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y; openEuler, Debian, Ubuntu and "
            "Fedora ship such kernels",
        )
    return wrong(None, f"no BTF file {path}")
