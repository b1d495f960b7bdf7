"""The template environment: undefined names are errors, and so is any text that is no fragment."""

from __future__ import annotations

import functools

import jinja2

from etracee.fragments import Fragment
from etracee.resources import bundled


@functools.cache
def environment() -> jinja2.Environment:
    """Return the environment for templates/bpf."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundled("templates") / "bpf"),
        undefined=jinja2.StrictUndefined,
        finalize=_only_fragments,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - fragments escape by construction; _only_fragments insists
    )


def _only_fragments(value: object) -> object:
    if isinstance(value, Fragment) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(f"a template was given {value!r}, which is no typed fragment")
