"""Fields with dots in their names, as the objects of JSON that they are printed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from etracee.fragments import Py, join, py, py_literal


def nest(values: Mapping[str, Py]) -> dict[str, Py]:
    """Return source by key: those with one prefix share a dict, in the place of the first."""
    groups: dict[str, dict[str, Py]] = {}
    for name, source in values.items():
        first, _, rest = name.partition(".")
        groups.setdefault(first, {})[rest] = source
    return {
        first: group[""] if "" in group else _dict(nest(group)) for first, group in groups.items()
    }


def _dict(values: Mapping[str, Py]) -> Py:
    pairs = [py("{k}: {v}", k=py_literal(name), v=source) for name, source in values.items()]
    return py("{{{pairs}}}", pairs=join(", ", pairs, Py))


def place_in(holder: Py, name: str) -> Py:
    """Return the target of an assignment to the field `name` in the dict `holder`."""
    *outer, last = name.split(".")
    return py("{dicts}[{last}]", dicts=_descend(holder, outer), last=py_literal(last))


def _descend(holder: Py, names: Iterable[str]) -> Py:
    for name in names:
        holder = py("{h}.setdefault({n}, {{}})", h=holder, n=py_literal(name))
    return holder
