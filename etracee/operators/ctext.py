"""C forms of comparisons of bytes, shared by the text operators.

Constants become masked 64-bit words, since BCC loads no constant arrays and since the verifier
follows eight bytes at once cheaply. Words are little-endian, as on x86_64 and arm64.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from etracee.fragments import C, c, c_comment, c_ident, c_int, join
from etracee.operators.base import CFunction, CText, Refusal

MOST_SEARCH_STEPS = 32_768
"""Bytes of buffer times bytes of needle, beyond which a search is left to Python: the verifier
walks every step (its limit is a million instructions for the whole program)."""

Pattern = Sequence[int | None]
"""Bytes to compare; None matches any byte."""


def match_at(pointer: C, pattern: Pattern) -> C:
    """Return C that is true where the bytes from `pointer` on match."""
    tests = [_word_test(pointer, pattern, start) for start in range(0, len(pattern), 8)]
    tests = [test for test in tests if test]
    return join(" && ", tests, C) if tests else C("1")


def _word_test(pointer: C, pattern: Pattern, start: int) -> C:
    found = _word_of(pointer, pattern, start)
    return c("{word} == {value}", word=found[0], value=found[1]) if found else C("")


def _difference(pointer: C, pattern: Pattern, start: int) -> C:
    """Return C that is 0 where a word of the pattern matches."""
    found = _word_of(pointer, pattern, start)
    return c("({word} ^ {value})", word=found[0], value=found[1]) if found else C("")


def _word_of(pointer: C, pattern: Pattern, start: int) -> tuple[C, C] | None:
    """Return the masked word at `start`, and its value in the pattern; None where all fit."""
    chunk = pattern[start : start + 8]
    value = sum((byte or 0) << 8 * i for i, byte in enumerate(chunk))
    mask = sum(0xFF << 8 * i for i, byte in enumerate(chunk) if byte is not None)
    if not mask:
        return None
    word = c("WORD({pointer}, {start})", pointer=pointer, start=start)
    if mask != 0xFFFFFFFFFFFFFFFF:
        word = c("({word} & {mask})", word=word, mask=c_int(mask))
    return word, c_int(value)


def says(constant: bytes) -> C:
    """Return a comment that shows the constant."""
    return c("/* {text} */ ", text=c_comment(ascii(constant.decode("utf-8", "replace"))))


def ends_with(operand: CText, pattern: Pattern) -> C | None:
    """Return C that is true where the text's last bytes match."""
    if len(pattern) > operand.limit:
        return None
    if operand.end is not None and len(pattern) <= operand.before:
        start = c("{end} - {n}", end=operand.end, n=len(pattern))
        test = match_at(start, pattern)
        return c("({length} >= {n} && {test})", length=operand.length, n=len(pattern), test=test)
    return c(
        "({length} >= {n} && {test})",
        length=operand.length,
        n=len(pattern),
        test=match_at(
            c(
                "BOUNDED({pointer}, {length} - {n}, {limit})",
                pointer=operand.pointer,
                length=operand.length,
                n=len(pattern),
                limit=_mask(operand.limit),
            ),
            pattern,
        ),
    )


def _mask(limit: int) -> int:
    """Return the smallest all-ones number that is not below `limit`."""
    return (1 << limit.bit_length()) - 1


def search(operand: CText, pattern: Pattern) -> CFunction | Refusal:
    """Return a function (text, length, from) → whether the pattern is found from there on.

    The pattern has at least one byte; it is refused where the verifier would have to walk too far.
    What is found must not leave the loop or branch within it: the verifier would follow the rest
    of the program once for every place.
    """
    if operand.limit * len(pattern) > MOST_SEARCH_STEPS:
        what = f"a search for {len(pattern)} bytes within {operand.limit}"
        return Refusal(f"{what} is more than the kernel's verifier follows")
    key = repr((tuple(pattern), operand.limit)).encode()
    name = c_ident(f"find_{zlib.crc32(key):08x}")
    starts = range(0, len(pattern), 8)
    words = [_difference(C("text + i"), pattern, start) for start in starts]
    body = c(
        """static __always_inline u64 {name}(const char *text, u32 length, u32 from)
{{
    u64 found = 0;

    for (u32 i = from; i <= {last}; i++) {{
        COUNT_UP(i);
        if (i + {n} > length)
            break;
        found |= is_zero({differences});
    }}
    return found;
}}""",
        name=name,
        last=operand.limit - len(pattern),
        n=len(pattern),
        differences=join(" | ", [word for word in words if word] or [C("0")], C),
    )
    return CFunction(name, body)
