"""What is attached, and the functions it calls: changed between one call and the next."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from etracee.kernel.assembly import RETURN_0
from etracee.kernel.bpf import Map, load_program
from etracee.kernel.programs import recursion_misses
from etracee.runtime.loaded import Loaded, Place


class Slots:
    """The hooks that are attached, each with a stub that calls the function in its slot.

    As many calls as there are go to the function of before or to that of after, and each to one:
    the kernel exchanges them in one step (prog_array_map_poke_run, kernel/bpf/arraymap.c).
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Map] = {}
        self._places: dict[str, Place] = {}
        self._stubs: dict[str, int] = {}
        self._links: dict[str, int] = {}
        self._tell: dict[str, str] = {}
        self._missed: Counter[str] = Counter()
        self._detaching = threading.Thread()

    @property
    def is_detaching(self) -> bool:
        """Say whether hooks that are needed no more are still being detached."""
        return self._detaching.is_alive()

    @property
    def arrays(self) -> dict[str, int]:
        """Return the descriptors of the maps that hold the slots, by name."""
        return {name: array.fd for name, array in self._arrays.items()}

    @property
    def attached(self) -> frozenset[str]:
        """Return the names of the stubs that are attached."""
        return frozenset(self._links)

    @property
    def misses(self) -> Counter[str]:
        """Return how often the kernel has left out a hook because another program ran.

        By event, or by tracepoint where the hook is for several. What is left out at the entry of
        a call that is told of at its end is not counted. At tracepoints of calls the kernel does so
        while bpf(2) reads or writes a map on that processor, and counts it since Linux 6.7
        (trace_call_bpf, kernel/trace/bpf_trace.c).
        """
        found = self._missed.copy()
        for stub, name in self._tell.items():
            if stub in self._stubs:
                found[name] += _read_misses(self._stubs[stub])
        return +found

    def fill(self, loaded: Loaded) -> None:
        """Let the functions of `loaded` run from now on, and no others; its arrays are kept here.

        OSError when the kernel refuses one; it refuses all or none, so nothing has changed then.
        Not to be called while hooks are being detached.
        """
        places = {place.function: place for place in loaded.places}
        unneeded = [self._places[function] for function in self._places.keys() - places.keys()]
        emptied = {place.slots: place for place in unneeded}
        nothing = {slots: _load_nothing(place) for slots, place in emptied.items()}
        arrays = self._arrays | {
            name: Map.of(loaded.maps[name])
            for name in {place.slots for place in loaded.places} - self._arrays.keys()
        }
        for place in loaded.places:
            _put(arrays[place.slots], place, loaded.programs[place.function])
        for place in unneeded:
            _put(arrays[place.slots], place, nothing[place.slots])
        for program in nothing.values():
            os.close(program)
        self._places, self._arrays = places, arrays
        self._stubs |= loaded.stubs
        self._links |= loaded.links
        self._tell |= {place.stub: place.tells for place in loaded.places if place.tells}
        if unneeded:
            self._remove(unneeded, self._links.keys() - {place.stub for place in loaded.places})

    def detach(self) -> None:
        """Detach all hooks."""
        while self._links:
            os.close(self._links.popitem()[1])

    def _remove(self, places: Sequence[Place], stubs: Iterable[str]) -> None:
        """Detach the stubs that nobody needs any more, and empty the slots of `places`.

        Arrays without a function go too. Each takes the kernel 0.1 s, so a thread does it.
        """
        descriptors: list[int] = []
        for stub in stubs:
            if stub in self._tell:
                self._missed[self._tell[stub]] += _read_misses(self._stubs[stub])
            descriptors += (self._links.pop(stub), self._stubs.pop(stub))
        emptied = [(self._arrays[place.slots], place.slot) for place in places]
        used = {place.slots for place in self._places.values()}
        unused = [self._arrays.pop(name).fd for name in self._arrays.keys() - used]
        arguments = (descriptors, emptied, unused)
        self._detaching = threading.Thread(target=_clear, args=arguments, daemon=True)
        self._detaching.start()


def _put(array: Map, place: Place, program: int) -> None:
    array.update(struct.pack("<I", place.slot), struct.pack("<I", program))


def _load_nothing(place: Place) -> int:
    """Return a program that does nothing, to stand in the slot of `place`.

    To exchange programs takes 0.05 ms; an emptied slot makes the kernel wait for all processors.
    """
    return load_program(place.kind, RETURN_0, place.target)


def _clear(
    descriptors: Iterable[int], slots: Iterable[tuple[Map, int]], arrays: Iterable[int]
) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    for array, slot in slots:
        array.delete(struct.pack("<I", slot))
    for descriptor in arrays:
        os.close(descriptor)


def _read_misses(stub: int) -> int:
    with contextlib.suppress(OSError):
        return recursion_misses(stub)
    return 0
