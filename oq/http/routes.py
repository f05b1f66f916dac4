"""The table of routes. The paths that the server answers and the document that describes them are
both made from it, so they always agree.
"""

from __future__ import annotations

from typing import Any

from oq.http import bulk, content, events, models, ops, shapes, streams, tasks
from oq.http.responses import BatchAnswer, OkAnswer, PriorityChange, SubmitAnswer
from oq.http.route import MAX_WAIT, Parameter, Route
from oq.http.streaming import EVENT_STREAM
from oq.rules.filters import Count, Sort
from oq.words.bulk import BulkOutcome
from oq.words.events import Event, EventType
from oq.words.stats import Stats, StatsByModel
from oq.words.stream import Chunk
from oq.words.task import Submission, Task, TaskSummary
from oq.words.timeline import Timeline
from oq.words.views import BackendView
from oq.words.which import CONDITIONS, IN_HTTP

_DONE = {200: ("The change is done and on disk", OkAnswer)}
_OK = {200: ("OK", OkAnswer)}
_FEED = (
    Parameter("types", "only events of these types", EventType, many=True),
    Parameter("task_id", "only events of this task", shapes.TaskId),
    Parameter("after", "begin after the event with this seq", shapes.Seq),
)
_FILTER = tuple(
    Parameter(IN_HTTP[name], one.text, shapes.VALUES.get(one.kind, one.kind), one.many)
    for name, one in CONDITIONS.items()
)
_LISTING = (
    *_FILTER,
    Parameter(
        "sort",
        "the order; `queue` lists only pending tasks, in the order in which they will run",
        Sort,
    ),
    Parameter("view", "`summary` leaves out payload, options and result", tasks.View),
    Parameter(
        "limit", "the largest number of tasks: 1 to 10000; the default is 1000", shapes.Limit
    ),
    Parameter("offset", "the number of tasks to skip; `after` is faster", shapes.Offset),
    Parameter(
        "after",
        "continue after this task: its id, or with `sort=queue` its place. The Link header of an"
        " answer has the value for the next page",
        str,
    ),
)
_WINDOW = Parameter("window", "the time to look back: 15m (the default) or 24h", ops.StatsWindow)
_KEY = Parameter(
    "Idempotency-Key",
    "a text that identifies the task. A second request with the same key and body makes no second"
    " task: its answer has the id of the first task, with status 200",
    shapes.Key,
)

TASKS = (
    Route(
        "POST",
        "/api/tasks",
        tasks.submit,
        "Submit a task",
        {
            201: ("The task is stored on disk", SubmitAnswer),
            200: ("The idempotency key was used before: the first task", SubmitAnswer),
        },
        errors=(400, 409, 413, 429, 503),
        headers=(_KEY, MAX_WAIT),
        body=Submission,
        fast_path=True,
    ),
    Route(
        "POST",
        "/api/tasks/batch",
        tasks.submit_batch,
        "Submit many tasks, all or none",
        {201: ("All tasks are stored on disk", BatchAnswer)},
        errors=(400, 413, 429, 503),
        headers=(MAX_WAIT,),
        body=shapes.Batch,
        also_takes={tasks.NDJSON: "one task per line"},
        fast_path=True,
    ),
    Route(
        "GET",
        "/api/tasks",
        tasks.listing,
        "List tasks",
        {200: ("Tasks, or with view=summary their summaries", list[Task])},
        errors=(400,),
        query=_LISTING,
        or_gives=list[TaskSummary],
    ),
    Route(
        "GET",
        "/api/tasks/count",
        tasks.count,
        "Count tasks",
        {200: ("The number of tasks that match", Count)},
        errors=(400,),
        query=_FILTER,
    ),
    Route(
        "POST",
        "/api/tasks/bulk",
        bulk.bulk,
        "Do one action on many tasks",
        {200: ("The outcome; all changes are on disk", BulkOutcome)},
        errors=(400, 413, 503),
        body=bulk.BulkRequest,
    ),
    Route(
        "GET",
        "/api/tasks/{task_id}",
        tasks.read,
        "Read a task, or wait until it ends",
        {200: ("The task", Task)},
        errors=(400, 404, 410),
        query=(
            Parameter(
                "wait",
                "answer when the task has ended, or after this time: seconds, or a Go duration"
                " such as 30s; at most the setting server.max_wait",
                shapes.Duration,
            ),
        ),
        fast_path=True,
    ),
    Route(
        "GET",
        "/api/tasks/{task_id}/stream",
        streams.stream,
        "Stream the output of a task",
        {
            200: (
                "One chunk per line, or server-sent events whose `id` is attempt.offset",
                Chunk,
            )
        },
        errors=(400, 404, 410, 503),
        query=(
            Parameter("offset", "the `offset` of the last chunk that you have", shapes.Seq),
            Parameter(
                "attempt",
                "the `attempt` of that chunk. If another attempt runs now, the stream begins anew",
                shapes.Seq,
            ),
        ),
        headers=(
            Parameter(
                "Last-Event-ID",
                "the `id` of the last event that you have; it replaces `offset` and `attempt`",
                shapes.StreamId,
            ),
        ),
        media=streams.NDJSON,
        also_gives=(EVENT_STREAM,),
        fast_path=True,
    ),
    Route(
        "GET",
        "/api/tasks/{task_id}/content",
        content.content,
        "Get the answer of a task as its backend sent it",
        {
            200: ("The backend's answer, with its own content type", Any),
            206: ("The part that the Range header names, if the answer came whole", Any),
        },
        errors=(404, 409, 410, 416, 503),
        headers=(Parameter("Range", "the bytes that are wanted: bytes=0-99", shapes.Range),),
        media="*/*",
        fast_path=True,
    ),
    Route(
        "POST",
        "/api/tasks/{task_id}/cancel",
        tasks.cancel,
        "Cancel a pending or running task",
        _DONE,
        errors=(404, 409, 410, 503),
    ),
    Route(
        "POST",
        "/api/tasks/{task_id}/priority",
        tasks.set_priority,
        "Change the priority of a pending task",
        _DONE,
        errors=(400, 404, 409, 410, 413, 503),
        body=PriorityChange,
    ),
    Route(
        "POST",
        "/api/tasks/{task_id}/retry",
        tasks.retry,
        "Queue a failed or cancelled task again",
        _DONE,
        errors=(404, 409, 410, 503),
    ),
    Route(
        "DELETE",
        "/api/tasks/{task_id}",
        tasks.delete,
        "Delete a task that has ended",
        {204: ("The task is deleted", None)},
        errors=(404, 409, 410, 503),
    ),
)

QUEUE = (
    Route(
        "GET",
        "/api/status",
        ops.status,
        "Show the state of the queue",
        {200: ("The state of the queue", ops.QueueStatus)},
        description="The numbers of tasks, the state of the queue, and its backends.",
    ),
    Route(
        "GET",
        "/api/stats",
        ops.stats,
        "Show what happened in the last 15 minutes or 24 hours",
        {200: ("All intervals, the oldest first", Stats)},
        errors=(400,),
        query=(
            _WINDOW,
            Parameter("model", "only what happened to this model", shapes.Model),
        ),
    ),
    Route(
        "GET",
        "/api/backends",
        ops.backends,
        "List the backends and their models",
        {200: ("The backends, in the order of preference", list[BackendView])},
    ),
    Route(
        "GET",
        "/api/backends/timeline",
        ops.timeline,
        "Show what the backends did in the last five minutes",
        {200: ("The backends, in the order of preference", Timeline)},
    ),
    Route(
        "GET",
        "/api/models",
        models.models,
        "Show what each model does and did",
        {200: ("The models by name", StatsByModel)},
        errors=(400,),
        query=(_WINDOW,),
    ),
    Route(
        "POST",
        "/api/models/pause",
        models.pause_model,
        "Pause a model",
        _DONE,
        errors=(400, 409, 413, 503),
        body=models.ModelChoice,
    ),
    Route(
        "POST",
        "/api/models/resume",
        models.resume_model,
        "Resume a model",
        _DONE,
        errors=(400, 413, 503),
        body=models.ModelChoice,
    ),
    Route("POST", "/api/queue/pause", ops.pause, "Pause the queue", _DONE, errors=(503,)),
    Route("POST", "/api/queue/resume", ops.resume, "Resume the queue", _DONE, errors=(503,)),
)

EVENTS = (
    Route(
        "GET",
        "/ws",
        events.websocket,
        "Receive events over WebSocket",
        {101: ("Text frames with JSON", Event)},
        errors=(400, 503),
        query=_FEED,
        websocket=True,
    ),
    Route(
        "GET",
        "/api/events",
        events.server_sent,
        "Receive events as server-sent events",
        {200: ("Events; `id` is their seq", Event)},
        errors=(400, 503),
        query=_FEED,
        headers=(
            Parameter(
                "Last-Event-ID",
                "begin after the event with this seq; it replaces `after`",
                shapes.Seq,
            ),
        ),
        media=EVENT_STREAM,
        fast_path=True,
    ),
)

OPS = (
    Route("GET", "/healthz", ops.healthz, "Check that the server is alive", _OK, strict=False),
    Route(
        "GET",
        "/readyz",
        ops.readyz,
        "Check that tasks can be submitted",
        {200: ("Tasks can be submitted", OkAnswer)},
        errors=(503,),
        strict=False,
    ),
    Route(
        "GET",
        "/metrics",
        ops.metrics,
        "Metrics for Prometheus",
        {200: ("Metrics in the text format of Prometheus", str)},
        media="text/plain",
        strict=False,
    ),
    Route(
        "GET",
        "/openapi.json",
        ops.openapi,
        "This document",
        {200: ("An OpenAPI 3.1 document", dict[str, Any])},
        strict=False,
        description="The description of this API, in OpenAPI 3.1.",
    ),
    Route(
        "GET",
        "/",
        ops.root,
        "The dashboard",
        {200: ("The dashboard, or the text `Ollama is running`", str)},
        media="text/plain",
        also_gives=("text/html",),
        strict=False,
    ),
    Route(
        "GET",
        "/assets/{name}",
        ops.asset,
        "A file of the dashboard",
        {200: ("The file", str)},
        errors=(404,),
        media="*/*",
        strict=False,
    ),
)

ROUTES = (*TASKS, *QUEUE, *EVENTS, *OPS)
