"""What rules may do besides telling: end the process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from etracee.problems import tell
from etracee.processes import ancestors, started_at

BY_KERNEL = "kernel_killed"
"""The value of an event that says whether the kernel's program has ended the process."""


class Killer:
    """Ends processes that rules name, and says so; never pid 1, etracee or what started it."""

    def __init__(self) -> None:
        self._protected = {1, *ancestors(os.getpid())}

    def kill(self, rule: str, values: Mapping[str, Any]) -> str:
        """End the process of an event; return what came of it.

        `values` are the event's pid, when it started, and whether the kernel has ended it already.
        """
        pid = values["pid"]
        outcome = (
            "killed by the kernel"
            if values.get(BY_KERNEL)
            else self._send(pid, values["start_time"])
        )
        tell(f"etracee: rule {rule}: kill of process {pid}: {outcome}")
        return outcome

    def _send(self, pid: int, start: int) -> str:
        if pid in self._protected:
            return "refused: it is pid 1, etracee, or what started it"
        try:
            process = os.pidfd_open(pid)
        except OSError as error:
            return f"not killed: {error.strerror}"
        try:
            # The descriptor holds the process, so that the number means no other from here on.
            if not started_at(pid, start):
                return "not killed: it has ended, and the number is another's"
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except OSError as error:
            return f"not killed: {error.strerror}"
        finally:
            os.close(process)
        return "killed"
