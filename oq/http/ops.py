"""For those who run the server: status, health, metrics, the document, the first page."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client.exposition import choose_encoder
from quart.wrappers import Request
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import NotFound as NothingThere

from oq.http.answers import JSON, OK, answer
from oq.http.face import Face
from oq.http.page import PAGE, POLICY
from oq.http.query import Query
from oq.rules.history import WINDOWS
from oq.words.stats import Stats


class StatsWindow(StrEnum):
    """How far back: in intervals of 10 seconds, or of 5 minutes."""

    QUARTER = "15m"
    DAY = "24h"


_RUNNING = "Ollama is running"  # what Ollama says; some clients look for it before they start
_BY_ACCEPT = {"Vary": "Accept"}


async def status(face: Face, request: Request) -> Response:
    """The queue at a glance."""
    return answer(face.queue.status())


async def stats(face: Face, request: Request) -> Response:
    """What happened lately, interval by interval; a restart begins anew."""
    window = Query(request.args).choice("window", StatsWindow, StatsWindow.QUARTER)
    return answer(
        Stats(
            interval=WINDOWS[window].interval,
            points=face.metrics.history.points(window, face.queue.now()),
            oldest_waiting=face.queue.oldest_waiting(),
        )
    )


async def backends(face: Face, request: Request) -> Response:
    """The servers that run models, and the models that they say they have."""
    return answer(await face.queue.look_at_backends())


async def pause(face: Face, request: Request) -> Response:
    """Start no more tasks; submitting goes on."""
    await face.queue.pause()
    return answer(OK)


async def resume(face: Face, request: Request) -> Response:
    """Start tasks again."""
    await face.queue.resume()
    return answer(OK)


async def healthz(face: Face, request: Request) -> Response:
    """The process is alive and answers."""
    return answer(OK)


async def readyz(face: Face, request: Request) -> Response:
    """The store can be written and the server is not shutting down."""
    face.queue.check_ready()
    return answer(OK)


async def metrics(face: Face, request: Request) -> Response:
    """Figures for Prometheus."""
    generate, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(generate(face.metrics.registry), content_type=content_type)


async def openapi(face: Face, request: Request) -> Response:
    """This document."""
    return Response(face.document, content_type=JSON)


async def root(face: Face, request: Request) -> Response:
    """The dashboard for browsers, or how to build it; what Ollama says for everybody else."""
    if "text/html" not in request.headers.get("Accept", ""):
        return Response(_RUNNING, headers=_BY_ACCEPT, content_type="text/plain; charset=utf-8")
    page = await face.site.page(request)
    return page or Response(
        PAGE,
        headers={"Content-Security-Policy": POLICY, **_BY_ACCEPT},
        content_type="text/html; charset=utf-8",
    )


async def asset(face: Face, request: Request, name: str) -> Response:
    """A file of the dashboard: its name changes with its content."""
    found = await face.site.asset(request, name)
    if found is None:
        raise NothingThere
    return found
