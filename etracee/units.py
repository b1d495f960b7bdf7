"""Sizes and durations as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([1-9][0-9]*) ?(B|KiB|MiB|GiB)?")
_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
LARGEST_RING = 1 << 30
"""Bytes of the largest ring buffer."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h)?")
LONGEST = 3650 * 86_400
"""Seconds of the longest duration."""
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}


def parse_size(text: object) -> int:
    """Return the bytes that a text like 8MiB means; ValueError for another."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a size such as 8MiB or 65536 was expected")
    return int(match[1]) * _UNITS[match[2]]


def show_size(size: int) -> str:
    """Return what parse_size() reads as `size`, in the largest unit that divides it."""
    units = [(name, unit) for name, unit in _UNITS.items() if name and size % unit == 0]
    name, unit = max(units, key=lambda pair: pair[1])
    return f"{size // unit}{name}"


def parse_duration(text: object) -> float:
    """Return the seconds that a text like 10s, 500ms or 2m means; ValueError for another.

    They are above 0, and at most LONGEST.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no duration such as 10s, 500ms or 2m")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not seconds:
        raise ValueError("the duration must be above 0")
    if seconds > LONGEST:
        raise ValueError(f"the duration must be at most {LONGEST // 86_400} days")
    return seconds
