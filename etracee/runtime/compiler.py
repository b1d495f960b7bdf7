"""From YAML to a program in the kernel, in a short-lived process.

Everything heavy (pydantic, lark, Jinja2, BCC, LLVM) is imported by the child alone; the monitor
that stays gets descriptors and the generated decoder.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from etracee.decoding import import_decoder
from etracee.problems import ExitCode, ProblemsError, host_lacks, tell
from etracee.processes import sees_whole_host
from etracee.runtime.handover import Loaded, Running, receive, send

_DECODER = "decoder.py"


@dataclass(frozen=True)
class Order:
    """What the command line asks for, as plain values."""

    profile: str
    rules: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    tree: bool = False
    alerts_only: bool = False
    allow_actions: bool = False


class CompilerFailedError(Exception):
    """The compiling process has said why, and ended with `code`."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the compiler ended with {code}")


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
        return loaded, import_decoder(Path(self._directory.name) / _DECODER)

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
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        if channel.recv(1):
            send(channel, _compile(order, directory, running))
        code = ExitCode.OK
    except ProblemsError as error:
        tell(str(error))
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _check_namespace(order: Order) -> list[str]:
    """Return what there is to say of a PID namespace; ProblemsError where it is too dangerous."""
    if sees_whole_host():
        return []
    if order.allow_actions:
        what = "--allow-actions: this PID namespace numbers processes otherwise than the kernel"
        raise host_lacks(what, "run etracee in the host's, as with `docker run --pid=host`")
    return ["warning: in a PID namespace of its own, etracee may report what it does itself"]


def _compile(order: Order, directory: Path, running: Running | None) -> Loaded:
    from etracee.catalog.costs import load_costs
    from etracee.kernel.btf import Btf
    from etracee.kernel.offsets import lacking_options, render_offsets
    from etracee.kernel.probe import Attachment, choose_attachment
    from etracee.plan import Request, attach_by, make_plan, prefer_attachment
    from etracee.render import render_program
    from etracee.runtime.load import OFFSETS, PROGRAM, import_bcc, load_and_attach
    from etracee.source_set import load_source_set

    notes = _check_namespace(order)
    with Btf() as btf:
        source = load_source_set(order.profile, order.rules, kernel=btf)
        request = Request(
            order.filters, order.events, order.tree, order.alerts_only, order.allow_actions
        )
        plan = make_plan(source.profile, source.rules, request, source.catalog)
        import_bcc()
        wanted = source.profile.options.attach
        found = Attachment(running.attach, running.typed_loads) if running else None
        preference = prefer_attachment(plan, load_costs())
        found = found or choose_attachment(wanted, preference.attach)
        plan = attach_by(plan, found.attach, typed_loads=found.typed_loads)
        program = render_program(plan)
        offsets = render_offsets(btf, program.offsets)
        notes += lacking_options(btf, program.offsets)
    for name, text in ((PROGRAM, program.c), (OFFSETS, offsets), (_DECODER, program.python)):
        (directory / name).write_text(text)
    notes += (f"warning: {warning}" for warning in plan.warnings)
    why = found.why or (preference.why if wanted == "auto" and not running else None)
    if plan.attach == "raw_tracepoint" and why:
        notes.append(f"note: one tracepoint for all calls is used: {why}")
    if running and wanted not in ("auto", running.attach):
        notes.append(f"note: attach: {wanted} counts after a restart")
    loaded = load_and_attach(plan, directory, running)
    return replace(loaded, files=source.profile.files, notes=(*notes, *loaded.notes))
