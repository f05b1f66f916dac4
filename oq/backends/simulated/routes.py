"""Everything that the simulated server answers without running a model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import trio

from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.forms import json_type
from oq.backends.simulated.model_file_calls import (
    BLOBS,
    CHANGES,
    PROGRESS,
    change_shelf,
    fields_of,
    find_blob,
    model_named,
)
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.router_pages import answer_router_page
from oq.backends.simulated.runner import Runner
from oq.backends.simulated.running import RUNS
from oq.backends.simulated.script import parse_scripts
from oq.backends.simulated.simulator import Simulator
from oq.backends.simulated.text import DIMENSIONS
from oq.words.from_json import NOT_READ

VERSION = "0.0.0-simulated"
_MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "simulated",
    "families": ["simulated"],
    "parameter_size": "0B",
    "quantization_level": "none",
}
_HIDDEN = frozenset({"authorization"})
_MODEL = "/v1/models/"
_FOR_EVER = 100 * 365 * 86400.0
"""Seconds; Ollama says a time in some hundred years then."""


async def answer_pages(simulator: Simulator, connection: Connection, request: HttpRequest) -> None:
    """Answer a request that runs no model and tells no progress; Refused if it is wrong."""
    method = "GET" if request.method == "HEAD" else request.method
    if simulator.router:
        await answer_router_page(simulator, connection, request)
    elif (method, request.path) in CHANGES:
        await change_shelf(simulator, connection, request)
    elif (method, request.path) == ("GET", "/"):
        await connection.respond(200, b"Ollama is running", _PLAIN)
    elif request.method == "HEAD" and request.path.startswith(BLOBS):
        find_blob(simulator, request.path.removeprefix(BLOBS))
        await connection.respond(200, b"", _PLAIN)
    elif (page := _page(method, request.path)) is not None:
        body = msgspec.json.encode(page(simulator, request))
        await connection.respond(200, body, json_type(request.path))
    elif request.path in _KNOWN.keys() - simulator.lacks:
        allow = ", ".join(sorted(_KNOWN[request.path]))
        await connection.respond(405, b"405 method not allowed", "text/plain", allow=allow)
    elif (real := real_path(request.path)) in _KNOWN.keys() - simulator.lacks:
        # As Go's servers do: https://pkg.go.dev/net/http#ServeMux
        status = 301 if method == "GET" else 307
        await connection.respond(status, b"", "", location=real)
    else:
        await connection.respond(404, b"404 page not found", "text/plain")


def real_path(path: str) -> str:
    """The path without empty parts: of /api/chat/ and of //api/chat it is /api/chat."""
    return "/" + "/".join(part for part in path.split("/") if part)


def _page(method: str, path: str) -> Callable[[Simulator, HttpRequest], object] | None:
    if method == "GET" and path.startswith(_MODEL):
        return _openai_model
    return _PAGES.get((method, path))


def _version(simulator: Simulator, request: HttpRequest) -> object:
    return {"version": VERSION}


def _status(simulator: Simulator, request: HttpRequest) -> object:
    return {"cloud": {"disabled": True, "source": "none"}}


def _tags(simulator: Simulator, request: HttpRequest) -> object:
    models = (_model(simulator, name) for name in simulator.listed)
    return {"models": [{**model, "modified_at": _MODIFIED} for model in models]}


def _ps(simulator: Simulator, request: HttpRequest) -> object:
    """What has been loaded; what loads is not told."""
    return {"models": [_running(simulator, runner) for runner in simulator.loaded.runners]}


def _running(simulator: Simulator, runner: Runner) -> dict[str, Any]:
    left = runner.keep if runner.users else runner.leaves_at - trio.current_time()
    return {
        **_model(simulator, runner.name),
        "expires_at": simulator.now() + timedelta(seconds=min(left, _FOR_EVER)),
        "size_vram": 0,
        "context_length": int(runner.group.num_ctx),
    }


def _model(simulator: Simulator, name: str) -> dict[str, Any]:
    digest = simulator.model_files.digest(name)
    return {"name": name, "model": name, "size": 0, "digest": digest, "details": _DETAILS}


def _show(simulator: Simulator, request: HttpRequest) -> object:
    name = model_named(fields_of(request))
    _check(simulator, name)
    return {
        "modelfile": f"# a simulated model\nFROM {name}\n",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": {
            "general.architecture": "simulated",
            "simulated.embedding_length": DIMENSIONS,
        },
        "capabilities": ["completion", "tools", "thinking", "embedding"],
        "modified_at": _MODIFIED,
    }


def _openai_models(simulator: Simulator, request: HttpRequest) -> object:
    return {"object": "list", "data": [_about(name) for name in simulator.listed]}


def _openai_model(simulator: Simulator, request: HttpRequest) -> object:
    name = unquote(request.path.removeprefix(_MODEL))
    _check(simulator, name)
    return _about(name)


def _about(name: str) -> dict[str, Any]:
    created = int(_MODIFIED.timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "library"}


def _check(simulator: Simulator, name: str) -> None:
    if not simulator.model_files.has(name):
        raise Refused(404, f"model '{name}' not found")


def _requests(simulator: Simulator, request: HttpRequest) -> object:
    return [
        {
            "number": call.number,
            "at": call.at,
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "headers": [
                (name, "***" if name.lower() in _HIDDEN else value) for name, value in call.headers
            ],
            "body": call.body.decode("utf-8", "replace"),
            "model": call.model,
            "ended_at": call.ended_at,
            "received": call.received,
            "hung_up_at": call.hung_up_at,
        }
        for call in simulator.calls
    ]


def _script(simulator: Simulator, request: HttpRequest) -> object:
    try:
        scripts = parse_scripts(request.body)
    except NOT_READ as error:
        raise Refused(400, str(error)) from None
    simulator.push(*scripts)
    return {"queued": len(scripts)}


_PAGES: dict[tuple[str, str], Callable[[Simulator, HttpRequest], object]] = {
    ("GET", "/api/version"): _version,
    ("GET", "/api/tags"): _tags,
    ("GET", "/api/ps"): _ps,
    ("POST", "/api/show"): _show,
    ("GET", "/v1/models"): _openai_models,
    ("GET", "/api/status"): _status,
    ("GET", "/simulator/requests"): _requests,
    ("POST", "/simulator/script"): _script,
}
_KNOWN: dict[str, set[str]] = {path: {"POST"} for path in (*RUNS, *PROGRESS)} | {"/": {"GET"}}
"""The methods of each path."""
for _method, _path in (*_PAGES, *CHANGES):
    _KNOWN.setdefault(_path, set()).add(_method)
_PLAIN = "text/plain; charset=utf-8"
