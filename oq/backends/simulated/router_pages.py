"""What llama.cpp's router answers without running a model (tools/server/server-models.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.forms import OLLAMA_JSON, llama_error
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.simulator import Simulator

_SLOTS = 4
"""What llama.cpp takes if it is not told."""


async def answer_router_page(
    simulator: Simulator, connection: Connection, request: HttpRequest
) -> None:
    """Answer a request that runs no model; Refused if it is wrong."""
    query = dict(parse_qsl(request.query))
    page = _PAGES.get(request.path) if request.method in ("GET", "HEAD") else None
    if page is None:
        await connection.respond(404, llama_error(404, "File Not Found"), OLLAMA_JSON)
        return
    if request.path == "/props" and "model" in query:
        said = await _props_of(simulator, query["model"], query.get("autoload", "true"))
    else:
        said = page(simulator)
    await connection.respond(200, msgspec.json.encode(said), OLLAMA_JSON)


def _health(simulator: Simulator) -> object:
    return {"status": "ok"}


def _models(simulator: Simulator) -> object:
    return {"data": [_model(simulator, name) for name in simulator.listed], "object": "list"}


def _model(simulator: Simulator, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "aliases": [],
        "tags": [],
        "object": "model",
        "owned_by": "llamacpp",
        "created": int(simulator.now().timestamp()),
        "status": {"value": _status(simulator, name), "args": []},
    }


def _status(simulator: Simulator, name: str) -> str:
    if name in simulator.loaded.names:
        return "loaded"
    return "loading" if name == simulator.loaded.loading else "unloaded"


def _props(simulator: Simulator) -> object:
    return {"role": "router", "max_instances": simulator.loaded.limit, "models_autoload": True}


async def _props_of(simulator: Simulator, name: str, autoload: str) -> object:
    """Those of one model, which is loaded for it if the request does not forbid that."""
    simulator.check_model(name)
    if autoload not in ("true", "1") and _status(simulator, name) == "unloaded":
        raise Refused(400, "model is not loaded")
    async with simulator.loaded.use(name, {}, slot=False):
        slots = simulator.loaded.parallel
        return {"total_slots": _SLOTS if slots is None else slots, "model_alias": name}


_PAGES: dict[str, Callable[[Simulator], object]] = {
    "/health": _health,
    "/models": _models,
    "/v1/models": _models,
    "/props": _props,
}
