"""Waiting for a task, with something to look at for whoever waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import click

from oq.cli.expected import expected
from oq.cli.signals import interrupted, threads_without_signals
from oq.cli.terminal import clean, complain
from oq.words.durations import format_age
from oq.words.errors import OqError, Unavailable
from oq.words.task import Status, Task
from oq.words.views import QueueStatus

if TYPE_CHECKING:
    from oq.client import Client

_LOOK = 1.0
"""Seconds between two looks at where the task stands."""


class Says(Protocol):
    """What stands beside the spinner."""

    def __call__(self, text: str) -> None: ...


def end_of(client: Client, task_id: str) -> Task:
    """The new task once it has ended. Ctrl-C ends the command, and the task goes on."""
    with goes_on(task_id):
        if not sys.stderr.isatty():
            click.echo(f"{clean(task_id)} is in the queue ...", err=True)
        with explained(client, task_id):
            return client.get(task_id, wait=float("inf"))


@contextmanager
def explained(client: Client, task_id: str) -> Iterator[None]:
    """While the block waits for the task, say where it stands, beside a spinner on a terminal, and
    everywhere why no task is started, if that is so.
    """
    over = threading.Event()
    with spinner(f"{task_id} is in the queue") as say:
        look = _Look(client.server, task_id, say)
        # A thread: the block waits inside the client. It may be in the middle of a call at the end.
        with threads_without_signals():
            threading.Thread(target=look.run, args=(over,), daemon=True).start()
        try:
            yield
        finally:
            over.set()


class _Look:
    """Looks now and then at a task that is waited for, over a connection of its own."""

    def __init__(self, server: str, task_id: str, say: Says) -> None:
        self._server = server
        self._task_id = task_id
        self._say = say
        self._why: str | None = None

    def run(self, over: threading.Event) -> None:
        """Say what is seen until it is over."""
        from oq.client import Client

        with Client(self._server, timeout=5) as client:
            while not over.wait(_LOOK):
                try:
                    task, status = client.get(self._task_id), client.status()
                except Unavailable:
                    self._say(f"{self._task_id} is safe; the server is away")
                except OqError:  # whoever waits meets it as well, and raises it
                    return
                else:
                    if not over.is_set():
                        self._tell(task, status)

    def _tell(self, task: Task, status: QueueStatus) -> None:
        self._say(f"{self._task_id} {where(task)}")
        why = why_nothing_starts(status) if task.status is Status.PENDING else None
        if why is not None and why != self._why:
            complain(f"{self._task_id} waits: {why}")
        self._why = why


def why_nothing_starts(status: QueueStatus) -> str | None:
    """Why no task is started just now, if that is so."""
    if status.paused:
        return "the queue is paused: `oq resume` starts tasks again"
    if status.draining:
        return "the server is shutting down: it starts again what has not ended"
    if status.problem:
        return status.problem
    if status.backends and not any(backend.up for backend in status.backends):
        down = ", ".join(f"{one.name} at {one.url}: {one.error}" for one in status.backends[:3])
        return f"no backend is up ({down})"
    return None


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

    with ExitStack() as stack:
        with threads_without_signals():  # it has a thread that turns it
            status = stack.enter_context(console(stderr=True).status(shown(text), spinner="dots"))
        yield lambda text: status.update(shown(text))


def where(task: Task) -> str:
    """Where a task stands that has not ended."""
    now = datetime.now(UTC)
    if task.status is Status.RUNNING and task.started_at is not None:
        return f"has run for {_rough(task.started_at, now)}"
    if task.run_at is not None and task.run_at > now:
        again = f" (retry {task.retry_count})" if task.retry_count else ""
        return f"waits for another {_rough(now, task.run_at)}{again}"
    if not task.queue_position:
        return "is in the queue"
    why = f": {task.waits_for}" if task.waits_for else ""
    soon = f", starts {expected(task.eta.starts, now)}" if task.eta else why
    return f"is #{task.queue_position} in line{soon}"


def _rough(start: datetime, end: datetime) -> str:
    return format_age(max(1.0, (end - start).total_seconds()))
