"""What follows from the PID namespace that etracee runs in."""

from __future__ import annotations

from etracee.problems import host_lacks
from etracee.processes import sees_whole_host
from etracee.runtime.order import Order


def check_namespace(order: Order) -> list[str]:
    """Return what there is to say of a PID namespace; ProblemsError where it is too dangerous."""
    if sees_whole_host():
        return []
    if order.allow_actions:
        what = "--allow-actions: this PID namespace numbers processes otherwise than the kernel"
        raise host_lacks(what, "run etracee in the host's, as with `docker run --pid=host`")
    return ["warning: in a PID namespace of its own, etracee may report what it does itself"]
