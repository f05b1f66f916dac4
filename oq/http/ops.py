"""Handlers for those who run the server: status, health, metrics, OpenAPI, and the first page."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from prometheus_client.exposition import choose_encoder
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import NotFound as NothingThere

from oq.http.context import Context
from oq.http.missing_dashboard import PAGE, POLICY
from oq.http.query import Query
from oq.http.request import Request
from oq.http.responses import JSON, OK, quart_response
from oq.rules.history import WINDOWS
from oq.rules.model_names import one_name
from oq.words import views
from oq.words.stats import Stats
from oq.words.timeline import BackendTimeline, Timeline

TIMELINE = timedelta(minutes=5)


class StatsWindow(StrEnum):
    """The time to look back: 15m has intervals of 10 seconds, and 24h intervals of 5 minutes."""

    QUARTER = "15m"
    DAY = "24h"


_RUNNING = "Ollama is running"  # what Ollama says; some clients look for it before they start
_BY_ACCEPT = {"Vary": "Accept"}


class QueueStatus(views.QueueStatus, frozen=True, kw_only=True):
    """The numbers of tasks, the state of the queue and its backends.

    `pending_tasks` counts all pending tasks. `delayed_tasks` counts those of them that wait for
    their `run_at`, and `retrying_tasks` those of the delayed tasks that wait for a retry.
    `queues_by_priority` is the number of pending tasks for each priority. `workers_active` is the
    number of running tasks, and `workers_idle` how many more the backends serve at once, as far as
    is known. `uptime` is in seconds.
    `paused_models` are the models whose tasks do not start, without the tag `latest`.
    `event_seq` is the `seq` of the last event. `problem` says why nothing can be stored now; it is
    null when all is well. `cloud` is what an Ollama behind oq says of itself by this path: whether
    the models of ollama.com are switched off, and by what.
    """

    cloud: dict[str, Any] | UnsetType = UNSET


async def status(context: Context, request: Request) -> Response:
    """The queue at a glance."""
    now = msgspec.structs.asdict(request.queue.status())
    return quart_response(QueueStatus(**now, cloud=await context.cloud.look(request)))


async def stats(context: Context, request: Request) -> Response:
    """What happened in the last 15 minutes or 24 hours, interval by interval, also before a restart
    of the server.
    """
    query = Query(request.args)
    window = query.choice("window", StatsWindow, StatsWindow.QUARTER)
    model = query.one("model")
    points = context.metrics.history.points(
        window, request.queue.now(), None if model is None else one_name(model)
    )
    return quart_response(
        Stats(
            interval=WINDOWS[window].interval,
            points=points,
            oldest_waiting=await request.queue.oldest_waiting(),
        )
    )


async def backends(context: Context, request: Request) -> Response:
    """The backends, and the models that each of them reports."""
    return quart_response(await request.queue.backends())


async def timeline(context: Context, request: Request) -> Response:
    """What ran on each backend in the last five minutes, and when it was down, held, or loaded a
    model.
    """
    now = request.queue.now()
    since = now - TIMELINE
    spans = request.queue.timeline_spans(since)
    backends = [
        BackendTimeline(name, context.metrics.attempts.since(name, since), spans[name])
        for name in spans
    ]
    return quart_response(Timeline(since, now, backends))


async def pause(context: Context, request: Request) -> Response:
    """Start no more tasks. Running tasks go on, and tasks can still be submitted."""
    await request.queue.pause()
    return quart_response(OK)


async def resume(context: Context, request: Request) -> Response:
    """Start tasks again after a pause."""
    await request.queue.resume()
    return quart_response(OK)


async def healthz(context: Context, request: Request) -> Response:
    """If it answers, the server process is alive."""
    return quart_response(OK)


async def readyz(context: Context, request: Request) -> Response:
    """The answer has status 200 if the store can be written and the server is not shutting down."""
    request.queue.check_ready()
    return quart_response(OK)


async def metrics(context: Context, request: Request) -> Response:
    """Metrics for Prometheus, in its text format or in OpenMetrics, as the Accept header says."""
    generate, content_type = choose_encoder(request.header(b"accept") or "")
    return Response(generate(context.metrics.registry), content_type=content_type)


async def openapi(context: Context, request: Request) -> Response:
    """This document."""
    return Response(context.document, content_type=JSON)


async def root(context: Context, request: Request) -> Response:
    """Browsers (their Accept header has text/html) get the dashboard. Other clients get the text
    that Ollama sends here.
    """
    if "text/html" not in (request.header(b"accept") or ""):
        return Response(_RUNNING, headers=_BY_ACCEPT, content_type="text/plain; charset=utf-8")
    page = await context.site.page(request)
    return page or Response(
        PAGE,
        headers={"Content-Security-Policy": POLICY, **_BY_ACCEPT},
        content_type="text/html; charset=utf-8",
    )


async def asset(context: Context, request: Request, name: str) -> Response:
    """A file of the dashboard. Its name changes when its content changes."""
    found = await context.site.asset(request, name)
    if found is None:
        raise NothingThere
    return found
