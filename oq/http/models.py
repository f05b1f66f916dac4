"""Handlers for models: how each of them goes, and the pause of its tasks."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from quart_trio.wrappers import TrioResponse as Response

from oq.http.context import Context
from oq.http.ops import StatsWindow
from oq.http.query import Query
from oq.http.request import Request
from oq.http.responses import OK, quart_response
from oq.rules.json_decoding import decode
from oq.rules.model_table import stats_by_model


class ModelChoice(Struct, frozen=True, forbid_unknown_fields=True):
    """A model by its name. The tag `latest` makes no difference."""

    model: str


_MODEL = msgspec.json.Decoder(ModelChoice)


async def models(context: Context, request: Request) -> Response:
    """How many tasks of each model wait and run now, and what happened to them in the last 15
    minutes or 24 hours.
    """
    window = Query(request.args).choice("window", StatsWindow, StatsWindow.QUARTER)
    queue, history = request.queue, context.metrics.history
    paused = queue.status().paused_models
    return quart_response(
        stats_by_model(history, window, queue.now(), queue.tasks_by_model(), paused)
    )


async def pause_model(context: Context, request: Request) -> Response:
    """Start no more tasks of this model. Those that run go on, and more can be submitted."""
    await request.queue.pause(decode(_MODEL.decode, request.body).model)
    return quart_response(OK)


async def resume_model(context: Context, request: Request) -> Response:
    """Start tasks of this model again after a pause of it."""
    await request.queue.resume(decode(_MODEL.decode, request.body).model)
    return quart_response(OK)
