"""`oq top`: the queue, live, on a terminal.

board   what is known of the queue        view   how it looks        keys   the keyboard
live    what keeps the one up to date and shows the other
"""

from __future__ import annotations

import os
import sys

import click

from oq.cli.options import server_address, server_options


@click.command("top")
@server_options
def top_(server: str | None, config_path: str | None) -> None:
    """Show the queue live: pending, running and ended tasks, and how fast they run.

    Press q or Ctrl-C to leave.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        raise click.UsageError(
            "`oq top` needs a terminal; `oq status` and `oq watch` work without one"
        )
    import trio

    from oq.cli.top.live import look

    trio.run(look, server_address(server, config_path))
