"""`etracee build`: compile a profile into one file, for hosts that have no compiler."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from etracee.cli._options import Selection, profile_option, selection_options
from etracee.problems import tell, wrong
from etracee.runtime.built import build
from etracee.runtime.image import Image
from etracee.runtime.load import try_image
from etracee.runtime.make import make_image
from etracee.runtime.order import Order


@click.command()
@profile_option
@click.option("-r", "--rules", multiple=True, help="Rule file: a bundled name or a path.")
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write.")
@selection_options
def command(profile: str, rules: tuple[str, ...], output: str, selection: Selection) -> None:
    """Compile a profile into FILE, which `etracee run FILE` runs on hosts of the same kernel build.

    Those need neither BCC nor a compiler, but the same etracee. FILE holds Python and kernel code
    that run as root: it is to be trusted as a program is. Needs root, since the program is loaded
    once to see that the kernel takes it.
    """
    order = Order(
        profile,
        rules,
        selection.filters,
        selection.events,
        alerts_only=selection.alerts_only,
        allow_actions=selection.allow_actions,
    )
    host, tree = _make(order), _make(replace(order, tree=True))
    for note in (f"profile {host.profile}: {', '.join(host.files)}", *host.notes):
        tell(f"etracee: {note}")
    data = build(order, host, tree)
    _write(Path(output), data)
    functions = len(host.functions)
    tell(f"etracee: wrote {output}: {len(data)} bytes, {functions} functions for the kernel")


def _make(order: Order) -> Image:
    with tempfile.TemporaryDirectory(prefix="etracee-") as directory:
        image = make_image(order, Path(directory))
    try_image(image)
    return image


def _write(path: Path, data: bytes) -> None:
    """Write the file beside its place and rename it: a monitor may be about to read the old one."""
    new = path.with_name(f"{path.name}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o644), "wb") as file:
            file.write(data)
        new.replace(path)
    except OSError as error:
        raise wrong(None, f"cannot write {path}: {error.strerror}") from None
