"""Everything that the simulated server answers without running a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from oq.backends.simulated.ask import Refused, decode
from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.running import RUNS
from oq.backends.simulated.script import parse_scripts
from oq.backends.simulated.simulator import Simulator
from oq.backends.simulated.text import DIMENSIONS
from oq.backends.simulated.voice import ollama_error, openai_error

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


async def answer_pages(simulator: Simulator, connection: Connection, request: HttpRequest) -> None:
    """Answer a request that runs no model; Refused if there is no such page."""
    method = "GET" if request.method == "HEAD" else request.method
    if (method, request.path) == ("GET", "/"):
        await connection.respond(200, b"Ollama is running", "text/plain; charset=utf-8")
        return
    page = _PAGES.get((method, request.path))
    if page is None:
        known = request.path in RUNS or any(path == request.path for _, path in _PAGES)
        raise Refused(
            405 if known else 404, "405 method not allowed" if known else "404 page not found"
        )
    await connection.respond(200, msgspec.json.encode(page(simulator, request)))


def error_body(path: str, status: int, message: str) -> bytes:
    """The body of an error, in the form of the API that `path` belongs to."""
    make = openai_error if path.startswith("/v1/") else ollama_error
    return make(status, message)


def _names(simulator: Simulator) -> list[str]:
    return sorted(simulator.models or {"simulated:latest", *simulator.loaded.names})


def _version(simulator: Simulator, request: HttpRequest) -> object:
    return {"version": VERSION}


def _tags(simulator: Simulator, request: HttpRequest) -> object:
    return {"models": [{**_model(name), "modified_at": _MODIFIED} for name in _names(simulator)]}


def _ps(simulator: Simulator, request: HttpRequest) -> object:
    loaded = simulator.loaded.names
    return {"models": [{**_model(n), "expires_at": _MODIFIED, "size_vram": 0} for n in loaded]}


def _model(name: str) -> dict[str, Any]:
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return {"name": name, "model": name, "size": 0, "digest": digest, "details": _DETAILS}


def _show(simulator: Simulator, request: HttpRequest) -> object:
    body = decode(msgspec.json.Decoder(dict[str, Any]).decode, request.body)
    name = body.get("model") or body.get("name")
    if not isinstance(name, str) or not name:
        raise Refused(400, "model is required")
    simulator.check_model(name)
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
    created = int(_MODIFIED.timestamp())
    about = {"object": "model", "created": created, "owned_by": "library"}
    return {"object": "list", "data": [{"id": name, **about} for name in _names(simulator)]}


def _requests(simulator: Simulator, request: HttpRequest) -> object:
    return [
        {
            "number": call.number,
            "at": call.at,
            "method": call.method,
            "path": call.path,
            "headers": [
                (name, "***" if name.lower() in _HIDDEN else value) for name, value in call.headers
            ],
            "body": call.body.decode("utf-8", "replace"),
            "model": call.model,
            "ended_at": call.ended_at,
            "hung_up_at": call.hung_up_at,
        }
        for call in simulator.calls
    ]


def _script(simulator: Simulator, request: HttpRequest) -> object:
    scripts = decode(parse_scripts, request.body)
    simulator.push(*scripts)
    return {"queued": len(scripts)}


_PAGES: dict[tuple[str, str], Callable[[Simulator, HttpRequest], object]] = {
    ("GET", "/api/version"): _version,
    ("GET", "/api/tags"): _tags,
    ("GET", "/api/ps"): _ps,
    ("POST", "/api/show"): _show,
    ("GET", "/v1/models"): _openai_models,
    ("GET", "/simulator/requests"): _requests,
    ("POST", "/simulator/script"): _script,
}
