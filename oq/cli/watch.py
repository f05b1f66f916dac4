"""`oq watch`."""

from __future__ import annotations

import sys

import click
import msgspec

from oq.cli.options import Output, connect, output_option, server_options
from oq.cli.terminal import clean, complain, json_line, local
from oq.words.events import Event, EventType, Lagged


@click.command("watch")
@click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice([kind.value for kind in EventType]),
    help="Only events of this type [all except task_progress]; may be repeated.",
)
@click.option("--task", "task_id", metavar="ID", help="Only events of this task.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="SEQ",
    help="Begin after the event with the number SEQ.",
)
@output_option
@server_options
def watch_(
    types: tuple[str, ...],
    task_id: str | None,
    after: int | None,
    output: Output,
    server: str | None,
    config_path: str | None,
) -> None:
    """Print each event as it happens, one per line, until Ctrl-C.

    If the connection is lost, oq connects again and continues at the same event. --output json
    prints the events as the server sends them.
    """
    show = {Output.JSON: _as_json, Output.PLAIN: _as_cells, Output.TABLE: _for_people}[output]
    with (
        connect(server, config_path) as client,
        client.subscribe(types=types or None, task_id=task_id, after=after) as events,
    ):
        for event in events:
            show(event)
            sys.stdout.flush()


def _as_json(event: Event | Lagged) -> None:
    print(json_line(event))


def _as_cells(event: Event | Lagged) -> None:
    if isinstance(event, Lagged):
        complain(_lag(event))
        return
    data = "" if event.data is None else msgspec.json.encode(event.data).decode()
    time = local(event.timestamp).isoformat(timespec="milliseconds")
    cells = (event.seq, time, event.type, event.task_id, event.status, data)
    print("\t".join(clean(cell) for cell in cells))


def _for_people(event: Event | Lagged) -> None:
    if isinstance(event, Lagged):
        complain(_lag(event))
        return
    from oq.cli.show_event import print_event

    print_event(event)


def _lag(event: Lagged) -> str:
    return f"{event.missed} events were missed here: they came faster than they were read"
