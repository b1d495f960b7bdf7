"""Run commands under rules that are attached to the kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from etracee.clock import Clock
from etracee.command import Command
from etracee.engine.alerts import Engine
from etracee.event import Alert
from etracee.gate import TreeGate
from etracee.generations import Generations
from etracee.kernel.bpf import Map
from etracee.problems import ExitCode
from etracee.runtime.compiler import Compiler
from etracee.runtime.order import Order

PATIENCE = 30.0
"""Seconds that a command and its descendants may take."""
_TICK = 0.005
"""Seconds between looks at the ring, and at whether the command has ended."""
_BATCH = 1 << 16
"""Bytes that are decoded at once."""
_DYING = 5.0
"""Seconds within which what was killed has ended, unless the kernel holds it."""
_PROFILE = "name: live\nevents: {exit: {}}\n"
"""A profile must watch something; with alerts only, no event of it is sent."""


@dataclass(frozen=True)
class Trial:
    """What came of a command.

    `lost` counts events that no rule has seen. `code` is what a shell would say, and `said` the
    last line of its stderr.
    """

    alerts: tuple[Alert, ...]
    lost: int
    code: int
    said: str
    is_late: bool

    @property
    def could_not_run(self) -> bool:
        """Say whether the shell did not find the program, or could not execute it."""
        return self.code in (ExitCode.CANNOT_EXECUTE, ExitCode.NOT_FOUND)


class LiveRules:
    """All rules of some files, attached once; they see only what is run by try_command()."""

    def __init__(self, generations: Generations, clock: Clock) -> None:
        self._generations, self._clock = generations, clock
        self._tracked = Map.of(generations.shared["tracked"])
        self._misses = generations.slots.misses

    def try_command(self, text: str) -> Trial:
        """Run a shell command, alone in an empty directory, and return what came of it.

        The rules remember nothing of commands before.
        """
        decoder = self._generations.current.decoder
        engine = Engine(decoder.rules, decoder.shown)
        self._clock.adjust()
        with _empty_directory() as directory, tempfile.TemporaryFile() as said:
            command = Command(("sh", "-c", text), prepare=lambda: _settle(directory, said))
            gate = TreeGate(self._generations.shared, command)
            alerts: list[Alert] = []
            gate.open()
            self._generations.look_around()
            end = time.monotonic() + PATIENCE
            try:
                while not gate.is_done() and time.monotonic() < end:
                    alerts += self._read(engine)
                    time.sleep(_TICK)
                is_late = not gate.is_done()
            finally:
                self._end(command, gate)
            alerts += self._read(engine)
            lost = self._count_lost()
            return Trial(tuple(alerts), lost, command.exit_code, _last_line(said), is_late)

    def _read(self, engine: Engine) -> Iterator[Alert]:
        """Yield the alerts of all that lies in the ring."""
        ring, reader = self._generations.ring, self._generations.reader
        end = ring.produced
        while ring.consumed < end:
            batch = reader.read(ring.look(_BATCH))
            ring.release(batch.size)
            for found in batch.found:
                yield from engine.alerts(found.event, found.fired)

    def _end(self, command: Command, gate: TreeGate) -> None:
        """Kill what is left of a command, so that nothing of it enters the next trial."""
        end = time.monotonic() + _DYING
        while not gate.is_done() and time.monotonic() < end:
            command.send_signal(signal.SIGKILL)
            for key in self._tracked.iterate_keys():
                (pid,) = struct.unpack("<I", key)
                if pid != command.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(_TICK)
        for key in tuple(self._tracked.iterate_keys()):
            with contextlib.suppress(FileNotFoundError):
                self._tracked.delete(key)

    def _count_lost(self) -> int:
        """Return what was lost since the last time."""
        before, self._misses = self._misses, self._generations.slots.misses
        missed = (self._misses - before).total()
        return sum(self._generations.current.find_refused().values()) + missed


@contextlib.contextmanager
def attach_rules(names: tuple[str, ...]) -> Iterator[LiveRules]:
    """Compile and attach the rules of these files, and detach them in the end.

    CompilerFailedError when the host cannot do that, which has been told then.
    """
    with tempfile.TemporaryDirectory(prefix="etracee-") as directory:
        profile = Path(directory) / "live.yaml"
        profile.write_text(_PROFILE)
        order = Order(str(profile), names, tree=True, alerts_only=True, use_cache=False)
        with contextlib.closing(Compiler(order)) as compiler:
            compiler.start()
            loaded, module = compiler.finish()
    clock = Clock()
    generations = Generations(loaded, module, clock)
    try:
        yield LiveRules(generations, clock)
    finally:
        generations.slots.detach()


@contextlib.contextmanager
def _empty_directory() -> Iterator[Path]:
    """Yield a new directory that every user may enter, and remove it in the end."""
    with tempfile.TemporaryDirectory(prefix="etracee-live-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def _settle(directory: Path, said: IO[bytes]) -> None:
    """Put the new process into the directory and a session of its own, with no input."""
    os.chdir(directory)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (null, 1), (said.fileno(), 2)):
        os.dup2(source, target)


def _last_line(said: IO[bytes]) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 4096))
    lines = said.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
