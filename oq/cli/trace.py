"""`oq trace export`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from oq.cli.options import connect, server_options
from oq.cli.terminal import json_line
from oq.cli.which import which, which_options
from oq.words.which import Which

if TYPE_CHECKING:
    from oq.client import Client
    from oq.words.task import Summary

AT_ONCE = 1000
"""Tasks that are in memory at once."""


@click.group("trace")
def trace_() -> None:
    """Write down what ran, for `oq plan`."""


@trace_.command("export")
@which_options
@server_options
def export(server: str | None, config_path: str | None, **given: Any) -> None:
    """Print what ran, the oldest first: a line of JSON for each task that has ended.

    A line has the times of the task, its model, type, priority and state, its tenant (the text
    `tenant` in its metadata), and the numbers of its tokens. It has no text of the prompt or of the
    answer. Tasks that never started are left out. The filters are those of `oq list`.
    """
    from oq.plan.trace import ran

    with connect(server, config_path) as client:
        for task in _oldest_first(client, which(given)):
            line = ran(task)
            if line is not None:
                print(json_line(line))


def _oldest_first(client: Client, wanted: Which) -> Iterator[Summary]:
    after = None
    while True:
        tasks = client.list_summaries(**wanted, sort="oldest", limit=AT_ONCE, after=after)
        yield from tasks
        if len(tasks) < AT_ONCE:
            return
        after = tasks[-1].id
