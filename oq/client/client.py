"""The client for programs that block: one method a call, errors as in `oq.words.errors`."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar, Unpack

import httpx

from oq.client import requests
from oq.client.address import DEFAULT_SERVER, connecting, no_address, server_url
from oq.client.follow import EventFollower, Follower, StreamFollower
from oq.client.requests import ApiRequest
from oq.client.retries import BREATH, CLOSED, HELD, PATIENCE, OnAway, Retries, read
from oq.client.sync_follow import Following
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.durations import Time, seconds_of
from oq.words.errors import Unavailable
from oq.words.events import Event, Lagged
from oq.words.new import NewTask
from oq.words.stats import Stats
from oq.words.stream import Chunk
from oq.words.task import Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

T = TypeVar("T")


class Client:
    """A connection to the oq server at `server` (``"localhost:7125"``, ``"http://box/oq"``).

    `timeout` is what the server gets for each answer; waiting for a task comes on top. Every method
    raises ServerNotReached when nobody answers there; those that wait (`result`, `run_batch`,
    `stream`, `subscribe`) bear with that for `patience`, so that they survive a restart. Both are
    seconds, ``"5m"`` or a timedelta, as is every time to wait here. `on_away` is called with why
    and for how many seconds when such a wait finds the server away. It may be used by several
    threads at once. Close it, or use it in a `with` block.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout: Time = 30,
        patience: Time = PATIENCE,
        on_away: OnAway | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.server = server_url(server)
        self._timeout = seconds_of("timeout", timeout)
        self._patience = seconds_of("patience", patience)
        self._on_away = on_away
        self._closed = False
        try:
            self._http = httpx.Client(
                transport=transport,
                **connecting(self.server),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            )
        except (httpx.InvalidURL, UnicodeError):
            raise no_address(server) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections. From then on every method raises Unavailable."""
        self._closed = True
        self._http.close()

    def submit(self, task: NewTask, *, idempotency_key: str | None = None) -> str:
        """Put a task into the queue; its id comes once it is on the server's disk.

        Submitting again with the same key gives the first task's id, not a second task; without
        one each call has a key of its own, so that a lost connection does not duplicate.
        """
        return self._run(requests.submit(requests.draft(task), requests.new_key(idempotency_key)))

    def submit_many(self, tasks: Sequence[NewTask]) -> builtins.list[str]:
        """Put all of them into the queue, or none: InvalidBatch names every one that is wrong."""
        drafts = requests.drafts(tasks)
        return self._run(requests.submit_many(drafts)) if drafts else []

    def run_batch(self, tasks: Sequence[NewTask]) -> builtins.list[Task]:
        """Submit the tasks in one commit and wait for all; the ended tasks, in the same order.

        NotFound if one of them was deleted before it could be read, and Removed if the server
        keeps none for so long (`queue.keep_completed`).
        """
        return [self.get(task_id, wait=float("inf")) for task_id in self.submit_many(tasks)]

    def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it is now, or, with `wait`, once it has ended or that time is over.

        Raises NotFound.
        """
        if wait is None:
            return self._run(requests.get(task_id))
        deadline = time.monotonic() + seconds_of("wait", wait)
        while True:
            left = max(0.0, deadline - time.monotonic())
            task = self._run(requests.get(task_id, min(left, HELD)), min(left, self._patience))
            if task.status.ended or time.monotonic() >= deadline:
                return task
            time.sleep(BREATH)

    def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended; the model's own final answer.

        TaskFailed or TaskCancelled if it did not complete; NotFound; TimeoutError after
        `timeout`, and the task goes on; Unavailable when the server is away for longer than the
        client's patience, or at the end of `timeout`.
        """
        wait = float("inf") if timeout is None else seconds_of("timeout", timeout)
        return requests.outcome(self.get(task_id, wait=wait), wait)

    @contextmanager
    def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> Iterator[Iterator[Chunk]]:
        """``with queue.stream(id) as chunks: for chunk in chunks: ...``

        What the task generates, as it is generated, to the chunk that has `done`; all of it, of a
        task that has ended. A connection that is lost is made again, and goes on where it was.
        `offset` and `attempt`, from the last chunk that you have, go on from there.

        Iterating raises NotFound, Unavailable after the client's patience.
        """
        self._check_open()
        follower = StreamFollower(self.server, self._patience, task_id, offset, attempt)
        with self._follow(follower) as chunks:
            yield chunks

    @contextmanager
    def subscribe(
        self,
        types: str | Iterable[str] | None = None,
        *,
        task_id: str | None = None,
        after: int | None = None,
    ) -> Iterator[Iterator[Event | Lagged]]:
        """``with queue.subscribe() as events: for event in events: ...``

        Every event from when the block is entered, or from after the one with seq `after`; without
        `types` all but progress. A connection that is lost is made again, and goes on where it was;
        Lagged says how many events could not be had. Entering raises InvalidTask, and Unavailable;
        iterating Unavailable after the client's patience.
        """
        self._check_open()
        follower = EventFollower(self.server, self._patience, types, task_id, after)
        with self._follow(follower) as events:
            events.greeting(follower)
            yield events

    @lists_keywords(Wanted)
    def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``. The
        keywords are those of `oq.words.which.Wanted`; without a `limit` there are at most 1000.

        More than 1000 come in several requests. Of big tasks `list_summaries` gives less. Raises
        InvalidTask.
        """
        return self._listed(requests.Listing(Task, wanted))

    @lists_keywords(Wanted)
    def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """The same without payloads, options and results, with how each prompt begins."""
        return self._listed(requests.Listing(Summary, wanted))

    @lists_keywords(Which)
    def count(self, **which: Unpack[Which]) -> Count:
        """How many tasks match; at least so many, when they are too many to look at. InvalidTask
        names what is wrong.
        """
        return self._run(requests.count(which))

    def status(self) -> QueueStatus:
        """The queue at a glance."""
        return self._run(requests.status())

    def cancel(self, task_id: str) -> None:
        """Stop the task, also while it runs; Conflict if it has ended."""
        self._run(requests.cancel(task_id))

    def set_priority(self, task_id: str, priority: int | str) -> None:
        """Move a pending task; Conflict if it is not pending any more."""
        self._run(requests.set_priority(task_id, priority))

    def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again; Conflict if it is neither."""
        self._run(requests.retry(task_id))

    def delete(self, task_id: str) -> None:
        """Forget an ended task; Conflict if it has not ended."""
        self._run(requests.delete(task_id))

    @lists_keywords(Which)
    def bulk(
        self,
        action: str,
        ids: Sequence[str] | None = None,
        to: int | str | None = None,
        **which: Unpack[Which],
    ) -> BulkOutcome:
        """Ask the same of many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or, with the priority `to`, priority. Which tasks: those
        `ids`, or all that match.

        What is refused for a single task is told of it in the outcome. Raises InvalidTask.
        """
        return self._run(requests.bulk(action, ids, to, which))

    def backends(self) -> builtins.list[BackendView]:
        """The servers that run models, and the models that they say they have."""
        return self._run(requests.backends())

    def stats(self, window: str = "15m") -> Stats:
        """What happened lately, interval by interval: in the last ``"15m"`` or ``"24h"``."""
        return self._run(requests.stats(window))

    def pause(self) -> None:
        """Start no more tasks; what runs goes on, and submitting too."""
        self._run(requests.pause())

    def resume(self) -> None:
        """Start tasks again."""
        self._run(requests.resume())

    def _listed(self, listing: requests.Listing[T]) -> builtins.list[T]:
        while (call := listing.next()) is not None:
            listing.add(self._run(call))
        return listing.tasks

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(CLOSED)

    def _run(self, call: ApiRequest[T], patience: float = 0.0) -> T:
        retries = Retries(call, self.server, patience, self._on_away)
        while True:
            self._check_open()
            try:
                response = self._http.send(call.request(self._http, self._timeout))
                return read(call, response, self.server)
            except (httpx.HTTPError, Unavailable) as error:
                pause = retries.pause(error, time.monotonic())
            except UnicodeError:  # a host's name that the domain name system cannot hold
                raise no_address(self.server) from None
            time.sleep(pause)

    def _follow(self, follower: Follower[T]) -> Following[T]:
        follower.tell(self._on_away)
        return Following(follower, self._http, self.server, self._timeout)
