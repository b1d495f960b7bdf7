"""What every field type answers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from etracee.event import Storage
from etracee.fragments import Py, py
from etracee.problems import did_you_mean


class Kind(enum.Enum):
    """What a value is to the operators; beside it, the Python value that stands for it."""

    NUMBER = "number"  # int
    TEXT = "text"  # bytes
    TEXTS = "list of texts"  # list of bytes
    FLAGS = "flags"  # int
    ADDRESS = "IP address"  # int: 128 bits, IPv4 in its IPv4-mapped form
    TRUTH = "boolean"  # bool
    OPAQUE = "bytes"  # bytes: only its parts can be compared


class Abi(enum.Enum):
    """How what lies in user memory looks in a 32-bit program."""

    SAME = "same"  # as in a 64-bit one
    WORDS = "words"  # each 8 bytes, a long or a pointer or less, are 4 there
    SIGNED_WORDS = "signed_words"  # the same, of numbers with a sign
    HEADED = "headed"  # the first 8 bytes are 4 there, the rest follows as it is
    TIMES = "times"  # signed words, but for the calls of 64-bit times: those are the same
    OTHER = "other"  # otherwise: it is not read


_INTEGERS = {
    "u8": ("B", 1),
    "s16": ("h", 2),
    "u16": ("H", 2),
    "s32": ("i", 4),
    "u32": ("I", 4),
    "s64": ("q", 8),
    "u64": ("Q", 8),
}
VARIABLE = Storage("u16", "H", 2, variable=True)


def integer(c_type: str) -> Storage:
    """Return the storage of a C integer such as `s32`."""
    code, size = _INTEGERS[c_type]
    return Storage(c_type, code, size)


def bounds(storage: Storage) -> tuple[int, int]:
    """Return the least and the greatest number of a C integer."""
    bits = storage.size * 8
    if storage.c_type.startswith("s"):
        return -(1 << bits - 1), (1 << bits - 1) - 1
    return 0, (1 << bits) - 1


@dataclass(frozen=True)
class Part:
    """A field that is read out of another one, as the port is out of a socket address.

    `python` takes the whole's value, and what `given` has besides, and returns the part's, or
    None; the generated decoder calls it by its module and name. `c_name` is the stem of two
    functions in templates/bpf/values.h: `NAME(whole…, given…)` returns the part's value and
    `NAME_exists(whole…, given…)` whether it is there; None where the part has no C form.
    """

    type: Type
    doc: str
    python: Callable[..., Any]
    c_name: str | None
    given: tuple[int, ...] = ()


class Type:
    """A field type; an instance has the parameters that the catalog gives a field."""

    kind: ClassVar[Kind]
    capture: ClassVar[str] = "scalar"
    """The template in templates/bpf/capture/ that fills the slot."""
    most: int | None = None
    """Bytes of a variable value, where the profile's options do not say."""
    unit: ClassVar[int] = 1
    """Bytes of what the length of a variable value counts."""
    counts_excess: ClassVar[bool] = True
    """Whether a variable value of more than `most` bytes counts as cut."""
    abi: Abi = Abi.SAME
    """How the value lies in the memory of a 32-bit program."""
    in_c: ClassVar[bool] = True
    """Whether the record holds the value as it is, so that the kernel can compare it."""
    missing: int | None = None
    """The number that stands in a record for a value that is not there."""
    beside: str | None = None
    """The field of the same event on which it depends how a value is printed."""
    storage: Storage
    doc: str

    @property
    def may_miss(self) -> bool:
        """Say whether a record may hold no value."""
        return self.storage.variable or self.missing is not None

    @property
    def parts(self) -> Mapping[str, Part]:
        """Return the fields that can be read out of this one, by name."""
        return {}

    def decode(self, raw: Py) -> Py:
        """Return Python source: `raw`, what struct unpacked, as the field's value."""
        if self.missing is None:
            return raw
        return py("None if {raw} == {missing} else {raw}", raw=raw, missing=self.missing)

    def shower(self) -> Py | None:
        """Return Python source of a function that prints a value, None where it prints as it is.

        The source may name the modules of etracee.types. The function is given the value of the
        field `beside` too, where there is one and it is known.
        """
        return None

    def parse(self, _text: str) -> int | bytes:
        """Return the constant that `text` in an expression means; ValueError says what is wrong."""
        raise ValueError(f"{self.kind.value} cannot be compared with a value")

    def implied(self, _text: str) -> str | None:
        """Return an expression that has to be true besides, where `text` means a constant."""
        return None

    def read_shown(self, shown: object) -> object:
        """Return the value that is printed as `shown`; ValueError where none is."""
        if isinstance(shown, bool) or not isinstance(shown, int | str):
            raise ValueError(f"{self.kind.value} was expected")
        return self.parse(str(shown))


class Names(dict[str, int]):
    """Names of numbers; `noun` is what each of them names, such as signal."""

    def __init__(self, noun: str, names: Mapping[str, int]) -> None:
        super().__init__(names)
        self.noun = noun


class ConstantError(ValueError):
    """Says why a text is no constant of a type; `find_hint` returns what would be, or None.

    The hint is only looked for when it is asked for: a text may be tried for many events.
    """

    def __init__(self, message: str, find_hint: Callable[[], str | None]) -> None:
        super().__init__(message)
        self.find_hint = find_hint


def parse_named(text: str, names: Iterable[str], known: str) -> int:
    """Return the integer of digits; ConstantError says that `text` is none, and nothing `known`.

    Its hint is the nearest of `names`.
    """
    try:
        return parse_integer(text)
    except ValueError:
        message = f"{text!r} is neither a number nor {known}"
        raise ConstantError(message, lambda: did_you_mean(text, names)) from None


def parse_integer(text: str) -> int:
    """Return the integer of decimal, 0x… or 0o… digits; ValueError says what was expected."""
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
