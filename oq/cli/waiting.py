"""Waiting for a task, with something to look at for whoever waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import click

from oq.cli.signals import interrupted
from oq.cli.terminal import clean, complain
from oq.words.durations import format_age
from oq.words.errors import Unavailable
from oq.words.task import Status, Task

if TYPE_CHECKING:
    from oq.client import Client

_LOOK = 1.0
"""Seconds after which somebody who looks at a terminal is told where the task stands."""


_PATIENCE = 60.0
"""Seconds that a server may be away, so that waiting survives a restart."""


class Says(Protocol):
    """What stands beside the spinner."""

    def __call__(self, text: str) -> None: ...


def end_of(client: Client, task_id: str) -> Task:
    """The task once it has ended. Ctrl-C ends the command, and the task goes on."""
    with goes_on(task_id):
        if not sys.stderr.isatty():
            click.echo(f"{clean(task_id)} is in the queue ...", err=True)
            return client.get(task_id, wait=float("inf"))
        with spinner(f"{task_id} is in the queue") as say:
            answered = time.monotonic()
            while True:
                try:
                    task = client.get(task_id, wait=_LOOK)
                except Unavailable:  # that lasted as long as a look: this is no tight loop
                    if time.monotonic() - answered > _PATIENCE:
                        raise
                    say(f"{task_id} is safe; the server is away")
                    continue
                if task.status.ended:
                    return task
                answered = time.monotonic()
                say(f"{task_id} {where(task)}")


@contextmanager
def goes_on(task_id: str) -> Iterator[None]:
    """Say on Ctrl-C how to get at the answer all the same."""
    try:
        yield
    except KeyboardInterrupt:
        complain(f"the task goes on; `oq result {task_id}` prints its answer")
        click.get_current_context().exit(interrupted())


@contextmanager
def spinner(text: str) -> Iterator[Says]:
    """Something that turns on the standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.text import Text

    from oq.cli.tables import console

    def shown(text: str) -> Text:
        return Text(clean(text), style="dim", no_wrap=True, overflow="ellipsis")

    with console(stderr=True).status(shown(text), spinner="dots") as status:
        yield lambda text: status.update(shown(text))


def where(task: Task) -> str:
    """Where a task stands that has not ended."""
    now = datetime.now(UTC)
    if task.status is Status.RUNNING and task.started_at is not None:
        return f"has run for {_rough(task.started_at, now)}"
    if task.run_at is not None and task.run_at > now:
        again = f" (retry {task.retry_count})" if task.retry_count else ""
        return f"waits for another {_rough(now, task.run_at)}{again}"
    return f"is #{task.queue_position} in line" if task.queue_position else "is in the queue"


def _rough(start: datetime, end: datetime) -> str:
    return format_age(max(1.0, (end - start).total_seconds()))
