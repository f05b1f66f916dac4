"""The client for programs that block. It raises the errors of `oq.words.errors`."""

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
from oq.client.timeouts import answer_timeout
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.durations import Time, seconds_of
from oq.words.errors import Unavailable
from oq.words.events import Event, Lagged
from oq.words.new import NewTask
from oq.words.stats import Stats, StatsByModel
from oq.words.stream import Chunk
from oq.words.task import Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

T = TypeVar("T")


class Client:
    """A client of the oq server at the address `server`, such as ``"localhost:7125"`` or
    ``"http://box/oq"``. Several threads may use it at once. Call `close`, or use a `with` block.

    `timeout` is the longest time for one answer of the server, not counting the time that a call
    waits for a task. If no server answers, every method raises ServerNotReached. But methods that
    wait (`result`, `run_batch`, `stream`, `subscribe`) first try again for `patience`, so a restart
    of the server does not disturb them. When such a wait finds the server away, `on_away` is called
    once, with the error and the number of seconds of the wait. All times are seconds, ``"5m"`` or a
    timedelta; infinity means no limit.
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
        self._timeout = answer_timeout(timeout)
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
        """Close the connections. After that every method raises Unavailable."""
        self._closed = True
        self._http.close()

    def submit(
        self,
        task: NewTask,
        *,
        idempotency_key: str | None = None,
        max_wait: Time | None = None,
    ) -> str:
        """Put a task into the queue. Return its id once the task is on the server's disk.

        If the same task was submitted with the same `idempotency_key` before, no second task is
        made, and the id is that of the first. If no key is given, each call makes a key of its own,
        so a lost connection does not make a second task.

        With `max_wait` a task that is expected to start later than that is refused at once.

        Raises InvalidTask, Conflict (the key belongs to a different task), PayloadTooLarge,
        QueueFull, WaitTooLong, Unavailable.
        """
        key = requests.new_key(idempotency_key)
        return self._run(requests.submit(requests.draft(task), key, max_wait))

    def submit_many(
        self, tasks: Sequence[NewTask], *, max_wait: Time | None = None
    ) -> builtins.list[str]:
        """Put all tasks into the queue, or none. Return their ids in the same order.

        With `max_wait` they are refused at once if the first of them is expected to start later.

        Raises InvalidBatch, which names every task that is wrong, PayloadTooLarge, QueueFull,
        WaitTooLong, Unavailable.
        """
        drafts = requests.drafts(tasks)
        return self._run(requests.submit_many(drafts, max_wait)) if drafts else []

    def run_batch(self, tasks: Sequence[NewTask]) -> builtins.list[Task]:
        """Submit all tasks, or none, and wait until all have ended. Return them in the same order.

        Raises NotFound if somebody deleted a task before it was read, and Removed if retention
        removed it (`queue.keep_completed`).
        """
        return [self.get(task_id, wait=float("inf")) for task_id in self.submit_many(tasks)]

    def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it is now. With `wait` it first waits, at most so long, until the task ends.

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
        """Wait until the task has ended. Return the final answer of the backend, a dict.

        Raises TaskFailed or TaskCancelled if the task did not complete, StoreCorrupt if its result
        cannot be read from the disk any more, NotFound, TimeoutError after `timeout` (the task goes
        on), and Unavailable if the server is away for longer than `patience`, or is away when
        `timeout` ends.
        """
        wait = float("inf") if timeout is None else seconds_of("timeout", timeout)
        return requests.outcome(self.get(task_id, wait=wait), wait)

    @contextmanager
    def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> Iterator[Iterator[Chunk]]:
        """``with queue.stream(id) as chunks: for chunk in chunks: ...``

        The chunks that the task generates, from the first chunk on. New chunks come as they are
        generated. The last chunk has `done`. If the connection is lost, the client connects again
        and continues at the same place. To continue an earlier stream, give the `offset` and the
        `attempt` of the last chunk that you have.

        Iterating raises NotFound, and Unavailable if the server is away for longer than `patience`.
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

        The events from now on. `types` are the types of events to receive; if not given, all except
        `task_progress`. With `task_id` only the events of this task come. With `after` the events
        after the one with this `seq` come first. If the connection is lost, the client connects
        again and continues at the same place. A `Lagged` says how many events were missed.

        Entering the block raises InvalidTask and Unavailable. Iterating raises Unavailable if the
        server is away for longer than `patience`.
        """
        self._check_open()
        follower = EventFollower(self.server, self._patience, types, task_id, after)
        with self._follow(follower) as events:
            events.greeting(follower)
            yield events

    @lists_keywords(Wanted)
    def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``.

        The filters are `status`, `type`, `priority`, `model`, `text`, `since` and `until`. `limit`
        is the largest number of tasks (1000 if not given), `offset` the number of tasks to skip.
        `after` is the id of the last task that you have. `sort` is newest, oldest or queue (the
        order in which pending tasks will run). For big tasks `list_summaries` is faster. Raises
        InvalidTask.
        """
        return self._listed(requests.Listing(Task, wanted))

    @lists_keywords(Wanted)
    def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """Like `list`, but each task has no payload, options or result. It has an `excerpt`: the
        beginning of its prompt.
        """
        return self._listed(requests.Listing(Summary, wanted))

    @lists_keywords(Which)
    def count(self, **which: Unpack[Which]) -> Count:
        """The number of tasks that match. The filters are those of `list`.

        If there are too many to look at all, `exact` of the answer is False, and there are at least
        so many. Raises InvalidTask.
        """
        return self._run(requests.count(which))

    def status(self) -> QueueStatus:
        """The numbers of tasks, the state of the queue and its backends."""
        return self._run(requests.status())

    def cancel(self, task_id: str) -> None:
        """Cancel the task, also while it runs. Raises NotFound, or Conflict if it has ended."""
        self._run(requests.cancel(task_id))

    def set_priority(self, task_id: str, priority: int | str) -> None:
        """Change the priority of a pending task. `priority` is 0 to 100, or a name.

        Raises NotFound, Conflict if the task is not pending, InvalidTask if that is no priority.
        """
        self._run(requests.set_priority(task_id, priority))

    def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again. Raises NotFound, or Conflict if it is neither."""
        self._run(requests.retry(task_id))

    def delete(self, task_id: str) -> None:
        """Delete an ended task and its result. Raises NotFound, or Conflict if it has not ended."""
        self._run(requests.delete(task_id))

    @lists_keywords(Which)
    def bulk(
        self,
        action: str,
        ids: Sequence[str] | None = None,
        to: int | str | None = None,
        **which: Unpack[Which],
    ) -> BulkOutcome:
        """Do one action on many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or priority; `to` is the new priority. The tasks are those
        with these `ids`, or all that match the filters of `list`.

        If the action is not possible for a task, the outcome says why. Raises InvalidTask if the
        arguments are wrong.
        """
        return self._run(requests.bulk(action, ids, to, which))

    def backends(self) -> builtins.list[BackendView]:
        """The backends, and the models that each of them reports."""
        return self._run(requests.backends())

    def stats(self, window: str = "15m", model: str | None = None) -> Stats:
        """What happened in the last 15 minutes (``"15m"``) or 24 hours (``"24h"``), by interval."""
        return self._run(requests.stats(window, model))

    def models(self, window: str = "15m") -> StatsByModel:
        """What each model does now, and did in the last 15 minutes or 24 hours."""
        return self._run(requests.models(window))

    def pause(self, model: str | None = None) -> None:
        """Start no more tasks until `resume`, also after a restart; with a `model`, no more of its
        tasks. Running tasks go on. Raises InvalidTask, and Conflict if too many models are paused.
        """
        self._run(requests.pause(model))

    def resume(self, model: str | None = None) -> None:
        """Start tasks again after `pause`; with a `model`, its tasks. A paused queue stays so."""
        self._run(requests.resume(model))

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
