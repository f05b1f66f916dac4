"""The commands that change something: cancel, priority, retry, delete, pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from oq.cli.exits import Exit, told
from oq.cli.options import connect, server_options
from oq.cli.terminal import clean
from oq.words.errors import OqError, ServerNotReached

if TYPE_CHECKING:
    from oq.client import Client

_ids = click.argument("ids", metavar="ID...", nargs=-1, required=True)


@click.command("cancel")
@_ids
@server_options
def cancel_(ids: tuple[str, ...], server: str | None, config_path: str | None) -> None:
    """Cancel tasks. One that runs is stopped, and its model too."""
    _each(ids, "cancelled", lambda client: client.cancel, server, config_path)


@click.command("retry")
@_ids
@server_options
def retry_(ids: tuple[str, ...], server: str | None, config_path: str | None) -> None:
    """Queue failed or cancelled tasks again."""
    _each(ids, "queued again", lambda client: client.retry, server, config_path)


@click.command("delete")
@_ids
@server_options
def delete_(ids: tuple[str, ...], server: str | None, config_path: str | None) -> None:
    """Forget ended tasks, with their results."""
    _each(ids, "deleted", lambda client: client.delete, server, config_path)


@click.command("priority")
@click.argument("task_id", metavar="ID")
@click.argument("priority")
@server_options
def priority_(task_id: str, priority: str, server: str | None, config_path: str | None) -> None:
    """Change a pending task's priority: low, normal, high, critical, or 0 to 100."""
    with connect(server, config_path) as client:
        client.set_priority(task_id, priority_value(priority))
    print(f"{clean(task_id)} has priority {clean(priority)}")


@click.command("pause")
@server_options
def pause_(server: str | None, config_path: str | None) -> None:
    """Start no more tasks. What runs goes on, and tasks can still be submitted."""
    with connect(server, config_path) as client:
        client.pause()
    print("paused; `oq resume` starts tasks again")


@click.command("resume")
@server_options
def resume_(server: str | None, config_path: str | None) -> None:
    """Start tasks again after `oq pause`."""
    with connect(server, config_path) as client:
        client.resume()
    print("running")


def priority_value(text: str) -> int | str:
    """A priority as the server takes it: a number as a number, a name as it is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _each(
    ids: tuple[str, ...],
    done: str,
    verb: Callable[[Client], Callable[[str], None]],
    server: str | None,
    config_path: str | None,
) -> None:
    """Do it to each of them. One that cannot be done is told, and does not keep the others back."""
    worst = Exit.DONE
    unsaid: OSError | None = None
    with connect(server, config_path) as client:
        for task_id in ids:
            try:
                verb(client)(task_id)
            except ServerNotReached:
                raise
            except OqError as error:
                worst = max(worst, told(error))
            else:
                try:
                    print(f"{clean(task_id)} {done}")
                except OSError as error:  # what cannot be told is no reason to stop doing it
                    unsaid = error
    if unsaid is not None:
        raise unsaid
    click.get_current_context().exit(worst)
