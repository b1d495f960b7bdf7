"""What hooks cost a call, and which calls are made most: of this host, or of hosts like it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from etracee.catalog.measured import HookCost, Measured, RefusedError, read_measured
from etracee.catalog.read import DATA, read_data

_COSTS = DATA / "costs.yaml"
_THOUSAND = 1000
_PRIOR = 10_000
"""Calls of the catalog's mix that count beside those of the host: an idle one makes few."""


@dataclass(frozen=True)
class Costs:
    """Costs by way of attaching, and what share of all calls those of one name are (0 to 1).

    `ring` are the ns that it takes to put a record into the ring. `source` says by whose figures
    something is.
    """

    hooks: Mapping[str, HookCost]
    ring: float
    shares: Mapping[str, float]
    others: float
    source: str

    def share(self, call: str) -> float:
        """Return the share of all calls that those named `call` are."""
        return self.shares.get(call, self.others)


def load_costs() -> Costs:
    """Return what was measured on this host, and where nothing was, the costs of data/costs.yaml.

    The source tells of a measurement that is not used, and why.
    """
    catalog = _load_catalog()
    try:
        measured = read_measured()
    except RefusedError as error:
        return replace(catalog, source=f"{catalog.source}; {error.reason}")
    return _adapt(catalog, measured) if measured else catalog


@functools.cache
def _load_catalog() -> Costs:
    data = read_data(_COSTS)
    hooks = {
        attach: HookCost(**{name: float(value) for name, value in written.items()})
        for attach, written in data["hooks"].items()
    }
    shares = {name: float(value) / _THOUSAND for name, value in data["calls"].items()}
    ring, others = float(data["ring"]), float(data["others"]) / _THOUSAND
    return Costs(hooks, ring, shares, others, "by the catalog's figures")


def _adapt(catalog: Costs, measured: Measured) -> Costs:
    """Return the costs of a host; of its calls, the fewer were counted, the less that counts.

    What is not measured, since not every kernel takes it, costs what it does in the catalog.
    """
    total = measured.counted + _PRIOR

    def share(name: str) -> float:
        return (measured.calls.get(name, 0) + _PRIOR * catalog.share(name)) / total

    source = f"as measured on this host on {measured.date}"
    if measured.hooks is None:
        source = f"{catalog.source}, with the calls of this host as counted on {measured.date}"
    return replace(
        catalog,
        hooks={**catalog.hooks, **dict((measured.hooks or {}).items())},
        shares={name: share(name) for name in {*catalog.shares, *measured.calls}},
        others=_PRIOR * catalog.others / total,
        source=source,
    )
