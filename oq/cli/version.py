"""`oq version`."""

from __future__ import annotations

import click

from oq.cli import VERSION


@click.command("version")
def version_() -> None:
    """Print the version."""
    print(f"oq {VERSION}")
