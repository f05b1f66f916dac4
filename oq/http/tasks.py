"""Submitting, reading and changing tasks."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET
from quart_trio.wrappers import TrioResponse as Response

from oq.http.context import Context, SharedBytes
from oq.http.query import Query
from oq.http.request import Request
from oq.http.responses import (
    OK,
    BatchAnswer,
    PriorityChange,
    SubmitAnswer,
    WholeResponse,
    encode,
    json_response,
    quart_response,
)
from oq.rules.json_decoding import decode
from oq.rules.terms import parse_priority
from oq.rules.validation import decode_batch, decode_submission
from oq.words.task import RawTask

NDJSON = "application/x-ndjson"
LONG = 64 * 1024
"""Bytes of a result from which on those who read it at the same time share its bytes."""
_PRIORITY = msgspec.json.Decoder(PriorityChange)


class View(StrEnum):
    """How much of each task a listing shows."""

    FULL = "full"
    SUMMARY = "summary"


async def submit(context: Context, request: Request) -> WholeResponse:
    """Store one task; the answer is sent once it is on disk. If the task waits then, the header
    X-OQ-ETA of the answer says in how many seconds it will start, as `42;p10=30;p90=75`.
    """
    task = decode_submission(request.body)
    queue = request.queue
    accepted = await queue.submit(
        task,
        idempotency_key=request.header(b"idempotency-key"),
        max_wait=request.header(b"x-oq-max-wait"),
    )
    return json_response(
        SubmitAnswer(accepted.task_id, accepted.status),
        201 if accepted.created else 200,
        {"Location": f"/api/tasks/{accepted.task_id}", **_eta(request, accepted.task_id)},
    )


async def submit_batch(context: Context, request: Request) -> WholeResponse:
    """Store many tasks, all or none. The body is a JSON array of tasks, or one task per line. The
    answer is sent once all tasks are on disk.
    """
    ndjson = request.mimetype == NDJSON
    tasks = decode_batch(request.body, ndjson=ndjson, limits=request.queue.limits)
    ids = await request.queue.submit_many(tasks, max_wait=request.header(b"x-oq-max-wait"))
    return json_response(BatchAnswer(ids), 201)


async def listing(context: Context, request: Request) -> Response:
    """Tasks, the newest first, or in the order of `sort`. The Link header of the answer has the
    address of the next page. The last page has no Link header. A page may be shorter than `limit`,
    or empty, even if it is not the last.
    """
    query = Query(request.args)
    wanted = query.filter()
    if query.choice("view", View, View.FULL) is View.SUMMARY:
        lines = await request.queue.list_summaries(wanted)
        return quart_response(lines.tasks, headers=_next(request, lines.next))
    page = await request.queue.list(wanted)
    return quart_response(page.tasks, headers=_next(request, page.next))


async def count(context: Context, request: Request) -> Response:
    """The number of tasks that match the filter. If there are too many to look at all of them,
    `exact` is false, and there are at least `count` tasks.
    """
    return quart_response(await request.queue.count(Query(request.args).filter()))


async def read(context: Context, request: Request, task_id: str) -> WholeResponse:
    """One task, with its payload and its result. With `wait` the answer is sent when the task has
    ended, or after this time. While it waits, the header X-OQ-ETA says in how many seconds it will
    start.
    """
    queue = request.queue
    wait = min(Query(request.args).seconds("wait"), queue.config.server.max_wait)
    task = await context.wait_for(queue, task_id, wait)
    if task.result is UNSET or memoryview(task.result).nbytes < LONG:
        return json_response(task, headers=_eta(request, task_id))
    return _shared(context, task)


def _shared(context: Context, task: RawTask) -> WholeResponse:
    """An ended task whose result is long: who read it at the same time, and slowly, share it."""
    name = task.id, task.completed_at, task.status
    body = context.long_tasks.get(name)
    if body is None:
        body = context.long_tasks[name] = SharedBytes(encode(task))
    return WholeResponse(body.data, shared=body)


async def cancel(context: Context, request: Request, task_id: str) -> Response:
    """Cancel a pending or running task. A running task is stopped."""
    await request.queue.cancel(task_id)
    return quart_response(OK)


async def set_priority(context: Context, request: Request, task_id: str) -> Response:
    """Change the priority of a pending task."""
    change = decode(_PRIORITY.decode, request.body)
    await request.queue.set_priority(task_id, parse_priority(change.priority))
    return quart_response(OK)


async def retry(context: Context, request: Request, task_id: str) -> Response:
    """Queue a failed or cancelled task again; its attempts are kept."""
    await request.queue.retry(task_id)
    return quart_response(OK)


async def delete(context: Context, request: Request, task_id: str) -> Response:
    """Delete a task that has ended, with its result."""
    await request.queue.delete(task_id)
    return Response(b"", 204)


def _eta(request: Request, task_id: str) -> dict[str, str]:
    """The header that says in how many seconds a task starts that waits."""
    eta = request.queue.eta_header(task_id)
    return {} if eta is None else {"X-OQ-ETA": eta}


def _next(request: Request, after: str | None) -> dict[str, str] | None:
    """The same listing, from where this page ends."""
    if after is None:
        return None
    kept = [
        (name, value)
        for name, value in request.args.items(multi=True)
        if name not in ("after", "offset")
    ]
    query = urlencode([*kept, ("after", after)])
    return {"Link": f'<{request.path}?{query}>; rel="next"'}
