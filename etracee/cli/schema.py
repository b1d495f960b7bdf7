"""`etracee schema`: the JSON Schema of a file format, for editors."""

from __future__ import annotations

import click

from etracee.schema import SCHEMAS, schema_text


@click.command()
@click.argument("name", type=click.Choice(list(SCHEMAS)))
def command(name: str) -> None:
    """Show the JSON Schema of profiles, of rule files, or of what `explain` prints."""
    print(schema_text(name), end="")
