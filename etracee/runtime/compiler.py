"""From YAML to a program in the kernel, in a short-lived process.

Everything heavy (pydantic, lark, Jinja2, BCC, LLVM) is imported by the child alone; the monitor
that stays gets descriptors and the path of the generated decoder.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from etracee.problems import ExitCode, ProblemsError, tell
from etracee.runtime.handover import Loaded, receive, send


@dataclass(frozen=True)
class Order:
    """What the command line asks for, as plain values."""

    profile: str
    rules: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    tree: bool = False


class CompilerFailedError(Exception):
    """The compiling process has said why, and ended with `code`."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the compiler ended with {code}")


def compile_and_load(order: Order, directory: Path) -> Loaded:
    """Compile in a child, with its files in `directory`; CompilerFailedError when it gave up.

    Whatever is raised meanwhile, by a handler of signals for example, ends the child too.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        ours.close()
        _compile_and_exit(order, directory, theirs)
    theirs.close()
    try:
        with ours:
            loaded = receive(ours)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    _, status = os.waitpid(child, 0)
    if loaded is None:
        raise CompilerFailedError(os.waitstatus_to_exitcode(status))
    return loaded


def _compile_and_exit(order: Order, directory: Path, channel: socket.socket) -> None:
    """Run in the child: os._exit() leaves the programs attached, where BCC's clean-up would not."""
    code = ExitCode.INTERNAL
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        send(channel, _compile(order, directory))
        code = ExitCode.OK
    except ProblemsError as error:
        tell(str(error))
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _compile(order: Order, directory: Path) -> Loaded:
    from dataclasses import replace

    from etracee.kernel.btf import Btf
    from etracee.kernel.offsets import render_offsets
    from etracee.kernel.probe import choose_attachment
    from etracee.plan import Request, attach_by, make_plan
    from etracee.render import render_program
    from etracee.runtime.load import DECODER, OFFSETS, PROGRAM, import_bcc, load_and_attach
    from etracee.source_set import load_source_set

    source = load_source_set(order.profile, order.rules)
    request = Request(filters=order.filters, events=order.events, tree=order.tree)
    plan = make_plan(source.profile, source.rules, request, source.catalog)
    import_bcc()
    found = choose_attachment(source.profile.options.attach)
    plan = attach_by(plan, found.attach, typed_loads=found.typed_loads)
    program = render_program(plan)
    with Btf() as btf:
        offsets = render_offsets(btf, program.offsets)
    for name, text in ((PROGRAM, program.c), (OFFSETS, offsets), (DECODER, program.python)):
        (directory / name).write_text(text)
    notes = [f"warning: {warning}" for warning in plan.warnings]
    if found.why:
        notes.append(f"note: raw tracepoints are used: {found.why}")
    loaded = load_and_attach(plan, directory, tuple(notes))
    return replace(loaded, files=source.profile.files)
