"""The calls that run a model, over HTTP: the same machine speaks Ollama's form and OpenAI's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import trio

from oq.backends.simulated.ask import Ask, Refused, ask_ollama
from oq.backends.simulated.ask_openai import ask_openai
from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.script import Script
from oq.backends.simulated.simulator import Call, Piece, Simulator, pieces
from oq.backends.simulated.voice import OllamaVoice, OpenAIVoice, Voice
from oq.words.task import TaskType


@dataclass(frozen=True, slots=True)
class _Run:
    kind: TaskType
    ask: Callable[[TaskType, bytes], Ask]
    voice: Callable[[Ask, datetime, float], Voice]


def _ollama(kind: TaskType) -> _Run:
    return _Run(kind, ask_ollama, OllamaVoice)


def _openai(kind: TaskType) -> _Run:
    return _Run(kind, ask_openai, OpenAIVoice)


EMBEDDINGS = "/api/embeddings"
RUNS = {
    "/api/chat": _ollama(TaskType.CHAT),
    "/api/generate": _ollama(TaskType.GENERATE),
    "/api/embed": _ollama(TaskType.EMBED),
    EMBEDDINGS: _ollama(TaskType.EMBED),
    "/v1/chat/completions": _openai(TaskType.CHAT),
    "/v1/completions": _openai(TaskType.GENERATE),
    "/v1/embeddings": _openai(TaskType.EMBED),
}


async def run_model(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call
) -> None:
    """Answer a call to one of RUNS; Refused when it is to get an HTTP error."""
    run = RUNS[request.path]
    ask = run.ask(run.kind, request.body)
    call.model = ask.model
    script = simulator.script_for(ask)
    if script.fault == "reset":
        await connection.reset()
        return
    async with simulator.loaded.use(ask.model, ask.options, script.load) as load:
        voice = run.voice(ask, simulator.now(), load)
        said = _embed_pieces(script) if ask.kind is TaskType.EMBED else pieces(ask, script)
        if ask.stream:
            await _stream(connection, voice, said, script, call)
        else:
            await _whole(connection, voice, said, script, call, legacy=request.path == EMBEDDINGS)
    if ask.unload:
        simulator.loaded.unload(ask.model)


async def _stream(
    connection: Connection, voice: Voice, said: list[Piece], script: Script, call: Call
) -> None:
    began = trio.current_time()
    for piece in said:
        if piece.due:
            await trio.sleep_until(began + piece.due)
        if not connection.started:
            await connection.begin(200, voice.content_type)
        if piece.fault is not None:
            await _break(connection, voice, piece, script)
            return
        await connection.send(voice.piece(piece, trio.current_time() - call.at))
    await connection.end()


async def _break(connection: Connection, voice: Voice, piece: Piece, script: Script) -> None:
    line = voice.piece(Piece(0, text="these words never come whole"), 0)
    match piece.fault:
        case "error":
            await connection.send(voice.error(script.error))
        case "garbage":
            await connection.send(b"<html>this is no JSON</html>\n")
        case "half_line":
            await connection.send(line[: len(line) // 2])
        case "cut":
            await connection.cut(line)
            return
    await connection.end()


async def _whole(
    connection: Connection,
    voice: Voice,
    said: list[Piece],
    script: Script,
    call: Call,
    *,
    legacy: bool,
) -> None:
    """An answer in one piece, after all of its tokens are due; its faults are those of a body."""
    await trio.sleep_until(trio.current_time() + said[-1].due)
    fault = said[-1].fault
    if fault == "error":
        raise Refused(500, script.error)
    body = b"" if fault else voice.whole(said, trio.current_time() - call.at)
    if legacy and not fault:
        embeddings = msgspec.json.decode(body)["embeddings"]
        body = msgspec.json.encode({"embedding": embeddings[0] if embeddings else []})
    match fault:
        case "garbage":
            body = b"<html>this is no JSON</html>\n"
        case "half_line":
            body = b'{"model":"half'
        case "cut":
            await connection.begin(200, "application/json")
            await connection.cut(b'{"model":"cut in the middle"}')
            return
    await connection.respond(200, body)


def _embed_pieces(script: Script) -> list[Piece]:
    due = float("inf") if script.fault == "hang" else script.delay
    return [Piece(due, fault=script.fault)]
