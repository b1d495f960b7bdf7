"""Booleans; the catalog derives them from other fields by an expression."""

from __future__ import annotations

from etracee.types.base import Kind, Type, integer


class Truth(Type):
    """True or false; stands alone in an expression."""

    kind = Kind.TRUTH
    doc = "boolean"
    storage = integer("u32")

    def read_shown(self, shown: object) -> bool:
        """Return the answer, which JSON or YAML may have written."""
        if shown not in (True, False, "true", "false"):
            raise ValueError("true or false was expected")
        return shown in (True, "true")


TYPES = {"truth": Truth}
