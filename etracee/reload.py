"""Reload: compile anew beside the program that runs, and let the new one take its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etracee.gate import Gate
from etracee.generations import Generations
from etracee.problems import CompilerFailedError, tell
from etracee.runtime.loaded import Loaded
from etracee.runtime.order import Order
from etracee.runtime.start import prepare_compiler

if TYPE_CHECKING:
    from etracee.runtime.compiler import Compiler


class Reloader:
    """Reloads when it is asked to, once more when it is asked meanwhile."""

    def __init__(self, order: Order, generations: Generations, gate: Gate) -> None:
        self._order = order
        self._generations = generations
        self._gate = gate
        self._compiler: Compiler | None = None
        self._is_asked = False

    @property
    def waits_for(self) -> tuple[Compiler, ...]:
        """Return what finish() is to be called for when it is readable."""
        return (self._compiler,) if self._compiler else ()

    def ask(self) -> None:
        """Reload when begin() is called next, or once more after the one that is under way."""
        self._is_asked = True

    def begin(self) -> None:
        """Begin the reload that was asked for, unless one is under way.

        A hook that is being detached would be attached again beside itself, and report twice.
        """
        if not self._is_asked or self._compiler or self._generations.slots.is_detaching:
            return
        self._is_asked = False
        try:
            self._compiler = prepare_compiler(self._order, self._generations.running)
        except OSError as error:
            _tell_failure(error)
            return
        self._gate.leave_out(self._compiler.pid)
        self._compiler.start()

    def finish(self) -> None:
        """Let the new program take over; where there is none, the one that runs goes on."""
        assert self._compiler is not None
        try:
            loaded, module = self._compiler.finish()
            self._generations.switch(loaded, module)
        except Exception as error:  # whatever is wrong with the new one, the old one runs on
            _tell_failure(error)
        else:
            _tell_success(loaded, self._generations)
        self.stop()

    def stop(self) -> None:
        """End what is under way."""
        if self._compiler:
            # Not left out any more before its number can be another process's.
            self._compiler.end()
            self._gate.leave_out(0)
            self._compiler.close()
            self._compiler = None


def _tell_failure(error: Exception) -> None:
    """Say that nothing has changed; what the compiler found wrong it has said itself."""
    is_said = isinstance(error, CompilerFailedError)
    reason = (
        f" ({error.strerror})" if isinstance(error, OSError) else "" if is_said else f" ({error})"
    )
    tell(f"etracee: reload failed{reason}, the rules of before stay")


def _tell_success(loaded: Loaded, generations: Generations) -> None:
    decoder = generations.current.decoder
    counts = f"{len(decoder.names)} events, {len(decoder.rules)} rules"
    tell(f"etracee: reloaded profile {loaded.profile}: {counts}")
    for note in loaded.notes:
        tell(f"etracee: {note}")
