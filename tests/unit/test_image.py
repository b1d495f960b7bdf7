"""Instructions of a function with the places of maps and of the generation."""

from __future__ import annotations

import struct

import pytest

from etracee.runtime.image import GENERATION, ImageError, read_function, seal, unseal

MAP_7 = struct.pack("<BBhIQ", 0x18, 1 << 4 | 1, 0, 7, 0)
MARK = struct.pack("<BBhIBBhI", 0x18, 2, 0, GENERATION & 0xFFFFFFFF, 0, 0, 0, GENERATION >> 32)
NUMBER = struct.pack("<BBhIBBhI", 0x18, 2, 0, 7, 0, 0, 0, 1)
EXIT = struct.pack("<BBhI", 0x95, 0, 0, 0)


def test_places_are_found_and_filled() -> None:
    code = NUMBER + MAP_7 + EXIT + MARK + MAP_7 + EXIT
    function = read_function("f", "tracepoint", code, {7: "events"})
    assert function.maps == ((2, "events"), (7, "events"))
    assert function.generations == (5,)
    map_9 = MAP_7.replace(b"\x07", b"\x09")
    number = struct.pack("<BBhIQ", 0x18, 2, 0, 300, 0)
    linked = function.link({"events": 9}, 300)
    assert linked == NUMBER + map_9 + EXIT + number + map_9 + EXIT


def test_a_second_half_is_no_instruction() -> None:
    """What looks like one is the high half of a constant."""
    code = struct.pack("<BBhI", 0x18, 0, 0, 1) + MAP_7[:8] + EXIT
    assert read_function("f", "tracepoint", code, {}).maps == ()


@pytest.mark.parametrize("size", [0, 5, 20, 60])
def test_a_cut_file_is_refused(size: int) -> None:
    sealed = seal(b"x" * 30)
    assert bytes(unseal(sealed)) == b"x" * 30
    with pytest.raises(ImageError):
        unseal(sealed[:size])
