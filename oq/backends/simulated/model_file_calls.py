"""The calls that change what is on the machine's disk: pull, push, create, copy, delete, blobs.

The first three tell their progress line by line and follow scripts as a model run does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
import trio

from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.forms import KILLED, NO_FIELDS, OLLAMA_JSON, ollama_error
from oq.backends.simulated.model_files import digest_of
from oq.backends.simulated.pieces import Piece, timed
from oq.backends.simulated.reading import Refused, decode_object
from oq.backends.simulated.refusals import check_refusal
from oq.backends.simulated.runner import Pace
from oq.backends.simulated.running import stream_answer, whole_answer
from oq.backends.simulated.simulator import Call, Simulator

BLOBS = "/api/blobs/"
_LAYER = 4 * 1024 * 1024
"""Bytes of the one layer that a model has."""
_STEPS = 4
"""Lines in which a layer's progress is told."""


class ProgressEncoder:
    """Lines of progress, as Ollama's pull, push and create send them. What they tell of is `done`
    before the `last` of them says so.
    """

    content_type = "application/x-ndjson"
    whole_type = OLLAMA_JSON

    def __init__(self, last: Piece, done: Callable[[], None]) -> None:
        self._last = last
        self._done = done

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        if piece is self._last:
            self._done()
        return piece.text.encode() + b"\n"

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return ollama_error(500, message, fields) + b"\n"

    def killed(self) -> bytes:
        return self.error(KILLED)

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        self._done()
        return said[-1].text.encode()


async def run_progress(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call
) -> None:
    """Answer one of PROGRESS; Refused when it is to get an HTTP error."""
    body = fields_of(request)
    call.model = name = model_named(body)
    lines = PROGRESS[request.path](simulator, name, body)
    script = connection.script = simulator.next_script()
    check_refusal(script, request.body)
    said = timed([Piece(0, text=msgspec.json.encode(line).decode()) for line in lines], script)
    encoder = ProgressEncoder(said[-1], partial(_keep, simulator, name, body.get("from")))
    answer = stream_answer if body.get("stream", True) else whole_answer
    await answer(simulator, connection, encoder, said, script, call, Pace())


def _keep(simulator: Simulator, name: str, base: object) -> None:
    """Have the model on the disk, made out of another one if there is a `base`."""
    if base:
        simulator.model_files.derive(str(base), name)
    else:
        simulator.model_files.put(name)


async def receive_blob(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call
) -> None:
    """Take an upload part by part, and keep no more of it than its digest."""
    wanted = request.path.removeprefix(BLOBS)
    sum_ = hashlib.sha256()
    async for part in connection.body():
        sum_.update(part)
        call.received += len(part)
    got = f"sha256:{sum_.hexdigest()}"
    if wanted in simulator.model_files.blobs:
        await connection.respond(200, b"", "text/plain")
    elif got != wanted:
        raise Refused(400, f'digest mismatch, expected "{wanted}", got "{got}"')
    else:
        simulator.model_files.blobs.add(got)
        await connection.respond(201, b"", "text/plain")


async def change_shelf(simulator: Simulator, connection: Connection, request: HttpRequest) -> None:
    """Answer a call of CHANGES; Refused if there is no such model."""
    await trio.lowlevel.checkpoint()
    CHANGES[request.method, request.path](simulator, fields_of(request))
    await connection.respond(200, b"", "text/plain")


def find_blob(simulator: Simulator, digest: str) -> None:
    """Refused with 404 if it was not uploaded."""
    if digest not in simulator.model_files.blobs:
        raise Refused(404, f'blob "{digest}" not found')


def _copy(simulator: Simulator, body: dict[str, Any]) -> None:
    source, destination = body.get("source"), body.get("destination")
    for what, name in (("source", source), ("destination", destination)):
        if not isinstance(name, str) or not name:
            raise Refused(400, f'{what} "{name or ""}" is invalid')
    if not simulator.model_files.has(str(source)):
        raise Refused(404, f'model "{source}" not found')
    simulator.model_files.copy(str(source), str(destination))


def _delete(simulator: Simulator, body: dict[str, Any]) -> None:
    name = model_named(body)
    if not simulator.model_files.remove(name):
        raise Refused(404, f"model '{name}' not found")


def _pull(simulator: Simulator, name: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"status": "pulling manifest"}
    yield from _layer("pulling", name)
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    yield {"status": "success"}


def _push(simulator: Simulator, name: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not simulator.model_files.has(name):
        raise Refused(404, f"model '{name}' not found")
    yield {"status": "retrieving manifest"}
    yield from _layer("pushing", name)
    yield {"status": "pushing manifest"}
    yield {"status": "success"}


def _create(simulator: Simulator, name: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    base, files = body.get("from"), body.get("files")
    if not base and not files:
        raise Refused(400, "neither 'from' or 'files' was specified")
    if base and not simulator.model_files.has(str(base)):
        raise Refused(404, f"model '{base}' not found")
    for digest in files.values() if isinstance(files, dict) else ():
        find_blob(simulator, str(digest))
    yield {"status": f"using existing layer sha256:{digest_of(str(base or name))}"}
    yield {"status": "writing manifest"}
    yield {"status": "success"}


def _layer(doing: str, name: str) -> Iterator[dict[str, Any]]:
    digest = digest_of(name)
    for step in range(_STEPS + 1):
        line = {"status": f"{doing} {digest[:12]}", "digest": f"sha256:{digest}", "total": _LAYER}
        # As Ollama leaves out what is 0.
        yield line | ({"completed": _LAYER * step // _STEPS} if step else {})


def fields_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that a request carries; Refused if it is none."""
    if not request.body:
        raise Refused(400, "missing request body")
    return decode_object(request.body)


def model_named(body: dict[str, Any]) -> str:
    """The model that a call is about; Refused if it names none."""
    name = body.get("model") or body.get("name")
    if not isinstance(name, str) or not name:
        raise Refused(400, "model is required")
    return name


PROGRESS: dict[str, Callable[[Simulator, str, dict[str, Any]], Iterator[dict[str, Any]]]] = {
    "/api/pull": _pull,
    "/api/push": _push,
    "/api/create": _create,
}
CHANGES: dict[tuple[str, str], Callable[[Simulator, dict[str, Any]], None]] = {
    ("POST", "/api/copy"): _copy,
    ("DELETE", "/api/delete"): _delete,
}
