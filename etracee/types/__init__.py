"""Field types: one module each says how a value is captured, decoded, shown and written down.

A module of this folder that defines `TYPES` (the catalog's word → class) is found by itself.
"""

from etracee.event import Storage
from etracee.types.base import Abi, Kind, Part, Type
from etracee.types.discovery import all_types, make_type, type_modules

__all__ = ["Abi", "Kind", "Part", "Storage", "Type", "all_types", "make_type", "type_modules"]
