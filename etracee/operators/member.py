"""`in`: one of a list, in a range, in a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etracee.fragments import C, Py, c, c_int, join, py, py_literal
from etracee.operators.base import (
    CAddress,
    CForm,
    CNumber,
    COperand,
    CText,
    Lookup,
    Operand,
    Operator,
    Refusal,
    Takes,
    no_if_cut,
)
from etracee.operators.equals import equal_text
from etracee.types import Kind, Type
from etracee.types.address import Address

MOST_IN_C = 64
"""Elements compared one after the other in the kernel; a longer list is left to Python."""


class In(Operator):
    """Membership; the constant is a tuple of texts, or of ranges (first, last) of numbers."""

    symbol = "in"
    kinds = frozenset({Kind.NUMBER, Kind.TEXT, Kind.ADDRESS})
    takes = Takes.MANY
    doc = "One of a list, within a range (both ends count), or in a network."
    examples = (
        ("comm in (sh, bash)", {"comm": b"sh"}, {"comm": b"zsh"}),
        ("uid in 1000..1999", {"uid": 1999}, {"uid": 2000}),
        ("port in (22, 8000..8999)", {"port": 8080}, {"port": 80}),
        ("addr in 10.0.0.0/8", {"addr": "10.1.2.3"}, {"addr": "11.0.0.1"}),
        ("addr in (::1, fe80::/10)", {"addr": "fe80::1"}, {"addr": "127.0.0.1"}),
    )

    def read(self, kind: Type, words: Sequence[str]) -> Any:
        """Read every element: a text, a number or range, an address or network."""
        if kind.kind is Kind.TEXT:
            return tuple(dict.fromkeys(kind.parse(word) for word in words))
        if isinstance(kind, Address):
            return tuple(kind.parse_network(word) for word in words)
        return tuple(_read_range(kind, word) for word in words)

    def longest(self, constant: Any) -> int:
        """Return the longest element's bytes."""
        return max((len(item) for item in constant if isinstance(item, bytes)), default=0)

    def python(self, operand: Operand, constant: Any) -> Py:
        """Look single values up in a set, and compare ranges."""
        single = {
            item if isinstance(item, bytes) else item[0] for item in constant if _is_single(item)
        }
        ranges = [item for item in constant if not _is_single(item)]
        tests = [
            py("{a} <= {value} <= {b}", a=first, value=operand.value, b=last)
            for first, last in ranges
        ]
        if single:
            known = operand.hoist(py("frozenset({s})", s=py_literal(tuple(sorted(single)))))
            found = py("{value} in {known}", value=operand.value, known=known)
            tests.insert(0, no_if_cut(operand, found))
        return py("({tests})", tests=join(" or ", tests, Py))

    def lookup(self, constant: Any) -> Lookup | None:
        """Look the value itself up, where all elements are single values."""
        if not all(_is_single(item) for item in constant):
            return None
        return Lookup(keys=tuple(i if isinstance(i, bytes) else i[0] for i in constant))

    def c_form(self, operand: COperand, constant: Any) -> CForm | Refusal:
        """Compare one after the other, where that is not too long."""
        if len(constant) > MOST_IN_C:
            return Refusal(f"a list of {len(constant)} is too long to be compared one by one")
        tests = [_C_TESTS[type(operand)](operand, item) for item in constant]
        return CForm(c("({tests})", tests=join(" || ", tests, C)))


def _is_single(item: Any) -> bool:
    return isinstance(item, bytes) or item[0] == item[1]


def _read_range(kind: Type, word: str) -> tuple[int, int]:
    first, dots, last = word.partition("..")
    low = kind.parse(first)
    high = kind.parse(last) if dots else low
    assert isinstance(low, int) and isinstance(high, int)
    if low > high:
        raise ValueError(f"the range {word!r} is empty: {first} is above {last}")
    return low, high


def _number_in(operand: CNumber, item: tuple[int, int]) -> C:
    first, last = c_int(item[0]), c_int(item[1])
    if first == last:
        return c("{value} == {first}", value=operand.value, first=first)
    return c("({value} >= {a} && {value} <= {b})", value=operand.value, a=first, b=last)


def _address_in(operand: CAddress, item: tuple[int, int]) -> C:
    """Compare the bits of the network's prefix, half by half."""
    differ = item[0] ^ item[1]
    halves = ((operand.high, 64), (operand.low, 0))
    tests = []
    for half, shift in halves:
        mask = ~(differ >> shift) & 0xFFFFFFFFFFFFFFFF
        value = c_int(item[0] >> shift & mask)
        tests.append(c("({half} & {mask}) == {value}", half=half, mask=c_int(mask), value=value))
    return c("({tests})", tests=join(" && ", tests, C))


_C_TESTS: dict[type, Any] = {CNumber: _number_in, CText: equal_text, CAddress: _address_in}

OPERATOR = In()
