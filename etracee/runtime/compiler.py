"""From YAML to a program in the kernel, in a short-lived process.

Everything heavy (pydantic, lark, Jinja2, BCC, LLVM) is imported by the child alone; the monitor
that stays gets descriptors and the decoder.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from etracee.problems import CompilerFailedError, ExitCode, ProblemsError, tell, wrong
from etracee.runtime.built import read_built
from etracee.runtime.cache import Cache
from etracee.runtime.handover import receive, send
from etracee.runtime.image import Image, import_decoder
from etracee.runtime.load import load_image
from etracee.runtime.loaded import Loaded, Running
from etracee.runtime.namespace import check_namespace
from etracee.runtime.order import Order

_DECODER = "decoder"


class Compiler:
    """A child that compiles and loads, and attaches what is not attached yet.

    It begins at start(); fileno() is readable when it has ended or has something to hand over.
    close() ends it in any case.
    """

    def __init__(self, order: Order, running: Running | None = None) -> None:
        """Fork; with `running`, compile a program that fits to the one that runs."""
        self._directory = tempfile.TemporaryDirectory(prefix="etracee-")
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._channel.close()
            _run_child(order, Path(self._directory.name), running, theirs)
        theirs.close()

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._channel.fileno()

    def start(self) -> None:
        """Let the child begin."""
        self._channel.send(b"!")

    def finish(self) -> tuple[Loaded, ModuleType]:
        """Wait for the program and its decoder; CompilerFailedError when the child gave up.

        The child has ended then, but its process id is taken until close().
        """
        loaded = receive(self._channel)
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if loaded is None:
            assert ended is not None
            if ended.si_code == os.CLD_EXITED:
                raise CompilerFailedError(ended.si_status)
            tell(f"etracee: the compiler was ended by signal {ended.si_status}")
            raise CompilerFailedError(ExitCode.INTERNAL)
        return loaded, import_decoder((Path(self._directory.name) / _DECODER).read_bytes())

    def end(self) -> None:
        """End the child, if it has not ended; its process id is taken until close()."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        """Let go of the child and its files."""
        self.end()
        os.waitpid(self.pid, 0)
        self._channel.close()
        self._directory.cleanup()


def _run_child(
    order: Order, directory: Path, running: Running | None, channel: socket.socket
) -> None:
    """Compile in the child; os._exit() leaves the programs, where BCC's clean-up would not.

    A terminal signals the whole group: when the child ends is up to the monitor alone.
    """
    code = ExitCode.INTERNAL
    gc.disable()  # what is left over goes when the process ends
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        if channel.recv(1):
            _work(order, directory, running, channel)
        code = ExitCode.OK
    except ProblemsError as error:
        tell(str(error))
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _work(order: Order, directory: Path, running: Running | None, channel: socket.socket) -> None:
    """Load the program of an order, hand it over, and keep it for the next start."""
    from etracee.inputs import record_inputs

    cache = Cache(order) if order.use_cache and not order.is_built else None
    notes = check_namespace(order)
    image, inputs = _find(order, running, cache), None
    if image is None:
        from etracee.runtime.make import make_image

        with record_inputs() as inputs:
            image = make_image(order, directory, running)
    loaded = load_image(image, running, os.getppid())
    (directory / _DECODER).write_bytes(image.code)
    send(channel, replace(loaded, notes=(*notes, *loaded.notes)))
    if inputs and cache and not running:
        cache.keep(image, inputs)


def _find(order: Order, running: Running | None, cache: Cache | None) -> Image | None:
    """Return what need not be compiled; what a first program could be was looked for already."""
    if order.is_built:
        built = read_built(order)
        if running and not built.fits(running.attach, typed_loads=running.typed_loads):
            raise wrong(None, f"{order.profile} is attached in another way", "restart etracee")
        return built
    kept = cache.find() if running and cache else None
    if kept and running and kept.fits(running.attach, typed_loads=running.typed_loads):
        return kept
    return None
