"""Begin: with a program that was compiled before, where there is one, else with a new one.

Either goes on while the monitor imports what it needs: the kernel's verifier and the compiling
process do not wait for it.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

from etracee.problems import ProblemsError, tell
from etracee.runtime.built import read_built
from etracee.runtime.cache import Cache
from etracee.runtime.image import Image, import_decoder
from etracee.runtime.load import load_image
from etracee.runtime.loaded import Loaded, Running
from etracee.runtime.namespace import check_namespace
from etracee.runtime.order import Order

if TYPE_CHECKING:
    from etracee.runtime.compiler import Compiler

_SWITCH_INTERVAL = 0.0002
"""Seconds after which a thread that imports lets one go on that loads."""


_SILENCE = 2.0
"""Seconds that compiling may take without a word to who waits at a terminal."""


class Start:
    """A program on its way into the kernel; finish() waits for it, and close() is always due.

    ProblemsError where the order cannot be run.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._cache = Cache(order) if order.use_cache and not order.is_built else None
        image = read_built(order) if order.is_built else self._cache and self._cache.find()
        self._loading = _Loading(image, order) if image else None
        self._compiler = None if image else _start_compiler(order)

    def finish(self) -> tuple[Loaded, ModuleType]:
        """Return the program, attached, and its decoder.

        ProblemsError where the host cannot run it; CompilerFailedError when it cannot be compiled
        (the reason has been said then).
        """
        if self._loading:
            try:
                return self._loading.finish()
            except ProblemsError as error:
                if self._cache is None:
                    raise
                self._cache.refuse(str(error.problems[0]))
                self._compiler = _start_compiler(self._order)
        assert self._compiler is not None
        if sys.stderr.isatty() and not select.select([self._compiler], [], [], _SILENCE)[0]:
            tell(f"etracee: compiling {self._order.profile} …")
        return self._compiler.finish()

    def close(self) -> None:
        """Let go of what has compiled it; once is enough."""
        if self._compiler:
            self._compiler.close()
            self._compiler = None


class _Loading:
    """A thread that loads an image."""

    def __init__(self, image: Image, order: Order) -> None:
        self._image = image
        self._notes = check_namespace(order)
        self._loaded: Loaded | None = None
        self._error: Exception | None = None
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._thread = threading.Thread(target=self._load, daemon=True)
        self._thread.start()

    def _load(self) -> None:
        try:
            self._loaded = load_image(self._image, None, os.getpid())
        except Exception as error:  # it is raised where the program is waited for
            self._error = error

    def finish(self) -> tuple[Loaded, ModuleType]:
        module = import_decoder(self._image.code)
        self._thread.join()
        sys.setswitchinterval(self._interval)
        if self._error:
            raise self._error
        assert self._loaded is not None
        return replace(self._loaded, notes=(*self._notes, *self._loaded.notes)), module


def prepare_compiler(order: Order, running: Running | None = None) -> Compiler:
    """Return what compiles once it is started, for what runs already or for a beginning."""
    from etracee.runtime.compiler import Compiler

    return Compiler(order, running)


def _start_compiler(order: Order) -> Compiler:
    compiler = prepare_compiler(order)
    compiler.start()
    return compiler
