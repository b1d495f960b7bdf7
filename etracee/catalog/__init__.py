"""What is known of the kernel, as data under data/: calls, their arguments, flags, context."""

from etracee.catalog.entries import Flow
from etracee.catalog.fit import fit_catalog
from etracee.catalog.load import load_catalog
from etracee.catalog.model import Catalog, EventType, Field

__all__ = ["Catalog", "EventType", "Field", "Flow", "fit_catalog", "load_catalog"]
