"""The table of routes. The paths that the server answers and the document that describes them are
both made from it, so neither can say what the other does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from oq.http import bulk, events, ops, streams, tasks
from oq.http.responses import BatchAnswer, OkAnswer, PriorityChange, SubmitAnswer
from oq.http.streaming import EVENT_STREAM
from oq.rules.filters import Count, Sort
from oq.words.bulk import BulkOutcome
from oq.words.events import Event, EventType
from oq.words.stats import Stats
from oq.words.stream import Chunk
from oq.words.task import Priority, Submission, Task, TaskSummary
from oq.words.views import BackendView, QueueStatus
from oq.words.which import CONDITIONS, IN_HTTP

Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Parameter:
    """Something after the question mark, or in a header. `type` is what one value of it is;
    `many` may be repeated, and lists several after commas.
    """

    name: str
    text: str
    type: Any = str
    many: bool = False


@dataclass(frozen=True)
class Route:
    """One call. `path` is as OpenAPI writes it; `answers` maps each good status to what it means
    and the type of its body; `errors` are the statuses of its ``{"error": ...}`` answers.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: dict[int, tuple[str, Any]]
    errors: tuple[int, ...] = ()
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Any = None
    media: str = "application/json"
    or_gives: Any = None
    """The type of a good answer in its other view."""
    also_gives: tuple[str, ...] = ()
    """Other media types of the answer, for those whose Accept header asks for them."""
    also_takes: dict[str, str] = field(default_factory=dict)
    """Other media types of the body, and what they are."""
    strict: bool = True
    """Whether a parameter that it does not have is refused."""
    websocket: bool = False
    fast_path: bool = False
    """Whether plain requests take the fast path; its handler is then a `FastHandler`."""
    name: str = ""
    """What it is called, where the handler's own name does not say."""
    error: Any = None
    """The type of its errors, where it is another than ErrorAnswer."""


_DONE = {200: ("Done, and on disk", OkAnswer)}
_FEED = (
    Parameter("types", "only events of these types", EventType, many=True),
    Parameter("task_id", "only events of this task"),
    Parameter("after", "go on after the event with this seq", int),
)
_FILTER = tuple(
    Parameter(IN_HTTP[name], one.text, str if one.kind is Priority else one.kind, one.many)
    for name, one in CONDITIONS.items()
)
_LISTING = (
    *_FILTER,
    Parameter("sort", "the order; `queue` shows those that wait, as they will run", Sort),
    Parameter("view", "`summary` leaves out payload, options and result", tasks.View),
    Parameter("limit", "how many, at most 10000; 1000 when left out", int),
    Parameter("offset", "how many to skip; `after` is faster", int),
    Parameter(
        "after",
        "the last id already seen (`sort=queue`: its place); the Link header has it",
        str,
    ),
)
_KEY = Parameter(
    "Idempotency-Key",
    "a second request with the same key and body gives the first one's answer, with status 200",
)

TASKS = (
    Route(
        "POST",
        "/api/tasks",
        tasks.submit,
        "Submit a task",
        {
            201: ("Stored, and on disk", SubmitAnswer),
            200: ("The idempotency key was known: the first answer", SubmitAnswer),
        },
        errors=(400, 409, 413, 429, 503),
        headers=(_KEY,),
        body=Submission,
        fast_path=True,
    ),
    Route(
        "POST",
        "/api/tasks/batch",
        tasks.submit_batch,
        "Submit many tasks, all or none",
        {201: ("All are stored, and on disk", BatchAnswer)},
        errors=(400, 413, 429, 503),
        body=list[Submission],
        also_takes={tasks.NDJSON: "one task a line"},
        fast_path=True,
    ),
    Route(
        "GET",
        "/api/tasks",
        tasks.listing,
        "List tasks, the newest first; the Link header leads on, also from a short or empty page",
        {200: ("Tasks; with view=summary, their summaries", list[Task])},
        errors=(400,),
        query=_LISTING,
        or_gives=list[TaskSummary],
    ),
    Route(
        "GET",
        "/api/tasks/count",
        tasks.count,
        "Count tasks; of very many, at least so many",
        {200: ("How many the filter admits", Count)},
        errors=(400,),
        query=_FILTER,
    ),
    Route(
        "POST",
        "/api/tasks/bulk",
        bulk.bulk,
        "Cancel, retry, delete or reprioritise many tasks",
        {200: ("What was done is on disk", BulkOutcome)},
        errors=(400, 413, 503),
        body=bulk.BulkRequest,
    ),
    Route(
        "GET",
        "/api/tasks/{task_id}",
        tasks.read,
        "Read a task, or wait for its end",
        {200: ("The task", Task)},
        errors=(400, 404, 410),
        query=(Parameter("wait", "answer when the task ends, at the latest after this long"),),
    ),
    Route(
        "GET",
        "/api/tasks/{task_id}/stream",
        streams.stream,
        "What the task generates: what there is, then what comes, to its end",
        {200: ("Chunks, one a line; as server-sent events, `id` is attempt.offset", Chunk)},
        errors=(400, 404, 410, 503),
        query=(
            Parameter("offset", "go on after so many of the backend's chunks", int),
            Parameter("attempt", "what the offset counts chunks of; another starts anew", int),
        ),
        headers=(Parameter("Last-Event-ID", "attempt.offset; newer than what the address says"),),
        media=streams.NDJSON,
        also_gives=(EVENT_STREAM,),
    ),
    Route(
        "POST",
        "/api/tasks/{task_id}/cancel",
        tasks.cancel,
        "Cancel a task that waits or runs",
        _DONE,
        errors=(404, 409, 410, 503),
    ),
    Route(
        "POST",
        "/api/tasks/{task_id}/priority",
        tasks.set_priority,
        "Change the priority of a task that waits",
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
        "Forget a task that has ended",
        {204: ("It is gone", None)},
        errors=(404, 409, 410, 503),
    ),
)

QUEUE = (
    Route(
        "GET", "/api/status", ops.status, "The queue at a glance", {200: ("Figures", QueueStatus)}
    ),
    Route(
        "GET",
        "/api/stats",
        ops.stats,
        "What happened in the last quarter of an hour, or the last day",
        {200: ("Every interval, the oldest first", Stats)},
        errors=(400,),
        query=(Parameter("window", "how far back; 15m when left out", ops.StatsWindow),),
    ),
    Route(
        "GET",
        "/api/backends",
        ops.backends,
        "The backends and their models",
        {200: ("In the order of preference", list[BackendView])},
    ),
    Route("POST", "/api/queue/pause", ops.pause, "Start no more tasks", _DONE, errors=(503,)),
    Route("POST", "/api/queue/resume", ops.resume, "Start tasks again", _DONE, errors=(503,)),
)

EVENTS = (
    Route(
        "GET",
        "/ws",
        events.websocket,
        "Events over WebSocket: a hello, then one event a frame, or an array of several",
        {101: ("Events as JSON text frames", Event)},
        errors=(400, 503),
        query=_FEED,
        websocket=True,
    ),
    Route(
        "GET",
        "/api/events",
        events.server_sent,
        "Events as server-sent events",
        {200: ("Events; `id` is the seq", Event)},
        errors=(400, 503),
        query=_FEED,
        headers=(Parameter("Last-Event-ID", "go on after the event with this seq", int),),
        media=EVENT_STREAM,
    ),
)

OPS = (
    Route("GET", "/healthz", ops.healthz, "Whether it lives", _DONE, strict=False),
    Route(
        "GET",
        "/readyz",
        ops.readyz,
        "Whether it takes work",
        {200: ("It does", OkAnswer)},
        errors=(503,),
        strict=False,
    ),
    Route(
        "GET",
        "/metrics",
        ops.metrics,
        "Figures for Prometheus",
        {200: ("Prometheus' text format", str)},
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
    ),
    Route(
        "GET",
        "/",
        ops.root,
        "The dashboard for browsers, `Ollama is running` for everybody else",
        {200: ("It runs", str)},
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
