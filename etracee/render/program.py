"""Render a Plan: its C, its decoder, and the offsets that the C needs of a kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import etracee
from etracee.fragments import C, c_comment, c_ident
from etracee.plan import Plan
from etracee.render.cview import view_program
from etracee.render.decoder import render_decoder
from etracee.render.environment import environment


@dataclass(frozen=True)
class Program:
    """Source for the kernel and for the monitor. `offsets` maps macro names to `struct.member…`."""

    c: str
    python: str
    digest: str
    offsets: Mapping[str, str]


def name_offset(path: str) -> C:
    """Return the macro for the offset of `struct.member…`, or of alternatives (see Walk)."""
    first = path.partition("|")[0]
    return c_ident("OFFSET_" + first.replace(".", "_").replace("[", "_").replace("]", ""))


def render_program(plan: Plan) -> Program:
    """Return the program of `plan`; its digest covers the C below the header comment."""
    offsets: dict[str, str] = {}

    def offset(path: str) -> C:
        name = name_offset(path)
        offsets[name] = path
        return name

    view = view_program(plan, offset)
    templates = environment()
    body = templates.get_template("body.c.j2").render(program=view, offset=offset)
    digest = hashlib.sha256(body.encode()).hexdigest()
    header = SimpleNamespace(
        title=plan.title,
        digest=C(digest),
        version=c_comment(etracee.__version__),
        body=C(body),
    )
    text = templates.get_template("program.c.j2").render(program=header)
    return Program(text, render_decoder(plan, digest), digest, dict(sorted(offsets.items())))
