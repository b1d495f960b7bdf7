"""What hooks cost a call, and which calls are made most."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from etracee.catalog.read import DATA, read_data

_COSTS = DATA / "costs.yaml"
_THOUSAND = 1000


@dataclass(frozen=True)
class HookCost:
    """What one way of attaching costs, in ns.

    Every call that the host makes pays `exit` and `enter` for what is attached at its two ends;
    one that is watched pays `own` besides, for each.
    """

    exit: float
    enter: float
    own: float


@dataclass(frozen=True)
class Costs:
    """Costs by way of attaching, and what share of all calls those of one name are (0 to 1).

    `ring` are the ns that it takes to put a record into the ring.
    """

    hooks: Mapping[str, HookCost]
    ring: float
    shares: Mapping[str, float]
    others: float

    def share(self, call: str) -> float:
        """Return the share of all calls that those named `call` are."""
        return self.shares.get(call, self.others)


@functools.cache
def load_costs() -> Costs:
    """Return the costs of data/costs.yaml."""
    data = read_data(_COSTS)
    hooks = {
        attach: HookCost(**{name: float(value) for name, value in written.items()})
        for attach, written in data["hooks"].items()
    }
    shares = {name: float(value) / _THOUSAND for name, value in data["calls"].items()}
    return Costs(hooks, float(data["ring"]), shares, float(data["others"]) / _THOUSAND)
