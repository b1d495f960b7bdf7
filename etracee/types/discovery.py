"""Find the field types: every module of this folder that defines `TYPES`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from etracee import types
from etracee.types.base import Type


@functools.cache
def all_types() -> Mapping[str, type[Type]]:
    """Return the catalog's words for the types, each with its class."""
    found: dict[str, type[Type]] = {}
    for info in pkgutil.iter_modules(types.__path__):
        module = importlib.import_module(f"{types.__name__}.{info.name}")
        found.update(getattr(module, "TYPES", {}))
    return found


def type_modules() -> list[str]:
    """Return the names of the modules, whose functions decoders call."""
    return sorted({kind.__module__.rpartition(".")[2] for kind in all_types().values()})


def make_type(word: str, parameters: Mapping[str, object]) -> Type:
    """Return the type that the catalog names `word`; KeyError or TypeError if there is no such."""
    return all_types()[word](**parameters)
