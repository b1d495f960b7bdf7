"""Typed pieces of source code: the only way for anything from YAML into emitted C or Python.

A fragment is made from a template that stands in our own code and from parts that are fragments or
numbers; a plain string is refused. The constructors for literals escape what they are given:
changing them has security implications, since the C runs in the kernel and the Python as root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Fragment(str):
    """Source code in one of the two languages."""

    __slots__ = ()


class C(Fragment):
    """C source code."""

    __slots__ = ()


class Py(Fragment):
    """Python source code."""

    __slots__ = ()


Language = TypeVar("Language", C, Py)


def c(template: str, **parts: C | int) -> C:
    """Fill `template`, a constant of our own, with C fragments and integers."""
    return C(template.format(**_checked(C, parts)))


def py(template: str, **parts: Py | int) -> Py:
    """Fill `template`, a constant of our own, with Python fragments and integers."""
    return Py(template.format(**_checked(Py, parts)))


def join(separator: str, parts: list[Language], language: type[Language]) -> Language:
    """Join fragments of one language."""
    return language(separator.join(_accept(language, part) for part in parts))


def _checked(language: type[Fragment], parts: Mapping[str, object]) -> dict[str, str]:
    return {name: _accept(language, part) for name, part in parts.items()}


def _accept(language: type[Fragment], part: object) -> str:
    if isinstance(part, language) or (isinstance(part, int) and not isinstance(part, bool)):
        return str(part)
    raise TypeError(f"{part!r} is neither a number nor a {language.__name__} fragment")


def c_int(value: int) -> C:
    """Return an integer literal that fits 64 bits, signed or unsigned."""
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"{value} does not fit 64 bits")
    if value < -(1 << 31):
        return C(f"((s64)0x{value & 0xFFFFFFFFFFFFFFFF:x}ULL)")
    if value < 1 << 31:
        return C(f"{value}")
    return C(f"0x{value:x}{'LL' if value < 1 << 63 else 'ULL'}")


def c_ident(name: str) -> C:
    """Return `name` as an identifier; the dots of nested fields become double underscores.

    No name in the catalog has two underscores in a row, or one beside a dot, so none collide.
    """
    flat = name.replace(".", "__")
    if not _IDENTIFIER.fullmatch(flat):
        raise ValueError(f"{name!r} is no identifier")
    return C(flat)


def c_comment(text: str) -> C:
    """Return `text` so that it cannot end the comment it stands in, nor its line."""
    plain = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text)
    return C(
        plain.replace("*/", "* /").replace("/*", "/ *").replace("\\", "\\\\").replace("??", "? ?")
    )


def py_literal(value: object) -> Py:
    """Return the literal of a number, text, bytes, None, or of a tuple, list or dict of such."""
    _refuse_others(value)
    return Py(repr(value))


def py_format(parts: Iterable[tuple[str, Py | None]]) -> Py:
    """Return an f-string of texts, each followed by the value of a variable, or by nothing."""
    return Py("f'" + "".join(_escape(text) + _insert(name) for text, name in parts) + "'")


def _escape(text: str) -> str:
    plain = text.encode("unicode_escape").decode().replace("'", "\\'")
    return plain.replace("{", "{{").replace("}", "}}")


def _insert(variable: Py | None) -> str:
    if variable is None:
        return ""
    if not _IDENTIFIER.fullmatch(_accept(Py, variable)):
        raise ValueError(f"{variable!r} is no identifier")
    return f"{{{variable}}}"


def py_ident(name: str) -> Py:
    """Return `name` as a Python identifier, as `c_ident` does."""
    return Py(c_ident(name))


def _refuse_others(value: object) -> None:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, tuple | list):
        for element in value:
            _refuse_others(element)
    elif value is not None and type(value) not in (int, str, bytes, bool, float):
        raise TypeError(f"{type(value).__name__} has no literal")


def py_variable(field: str) -> Py:
    """Return the variable of a field; its prefix keeps it from hiding a name of ours."""
    return Py("v_" + c_ident(field))
