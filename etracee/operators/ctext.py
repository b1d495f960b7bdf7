"""C forms of comparisons of bytes, shared by the text operators.

Constants become masked 64-bit words, since BCC loads no constant arrays and since the verifier
follows eight bytes at once cheaply. Words are little-endian, as on x86_64 and arm64.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from etracee.fragments import C, c, c_comment, c_ident, c_int, join
from etracee.operators.base import CFunction, CText

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
    chunk = pattern[start : start + 8]
    value = sum((byte or 0) << 8 * i for i, byte in enumerate(chunk))
    mask = sum(0xFF << 8 * i for i, byte in enumerate(chunk) if byte is not None)
    if not mask:
        return C("")
    word = c("WORD({pointer}, {start})", pointer=pointer, start=start)
    if mask != 0xFFFFFFFFFFFFFFFF:
        word = c("({word} & {mask})", word=word, mask=c_int(mask))
    return c("{word} == {value}", word=word, value=c_int(value))


def says(constant: bytes) -> C:
    """Return a comment that shows the constant."""
    return c("/* {text} */ ", text=c_comment(ascii(constant.decode("utf-8", "replace"))))


def ends_with(operand: CText, pattern: Pattern) -> C | None:
    """Return C that is true where the text's last bytes match."""
    if len(pattern) > operand.limit:
        return None
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


def search(operand: CText, pattern: Pattern) -> CFunction | None:
    """Return a function (text, length, from) → offset behind the first match from there on, or -1.

    None where the verifier would have to walk too far.
    """
    if not pattern or operand.limit * len(pattern) > MOST_SEARCH_STEPS:
        return None
    key = repr((tuple(pattern), operand.limit)).encode()
    name = c_ident(f"find_{zlib.crc32(key):08x}")
    body = c(
        """static __always_inline s32 {name}(const char *text, u32 length, u32 from)
{{
    for (u32 i = 0; i <= {last}; i++)
        if (i >= from && i + {n} <= length && {test})
            return i + {n};
    return -1;
}}""",
        name=name,
        last=operand.limit - len(pattern),
        n=len(pattern),
        test=match_at(C("text + i"), pattern),
    )
    return CFunction(name, body)
