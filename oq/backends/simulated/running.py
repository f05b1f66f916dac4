"""The calls that run a model, over HTTP: the same machine speaks Ollama's form and OpenAI's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import trio

from oq.backends.simulated.ask import Ask, Refused, ask_ollama
from oq.backends.simulated.ask_openai import ask_openai
from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.encoders import (
    AnswerEncoder,
    LegacyEmbeddingEncoder,
    OllamaEncoder,
    OpenAIEncoder,
)
from oq.backends.simulated.script import Script
from oq.backends.simulated.simulator import Call, Piece, Simulator, pieces
from oq.words.task import TaskType


@dataclass(frozen=True, slots=True)
class _Run:
    kind: TaskType
    ask: Callable[[TaskType, bytes], Ask]
    encoder: Callable[[Ask, datetime, float], AnswerEncoder]


def _ollama(kind: TaskType) -> _Run:
    return _Run(kind, ask_ollama, OllamaEncoder)


def _openai(kind: TaskType) -> _Run:
    return _Run(kind, ask_openai, OpenAIEncoder)


RUNS = {
    "/api/chat": _ollama(TaskType.CHAT),
    "/api/generate": _ollama(TaskType.GENERATE),
    "/api/embed": _ollama(TaskType.EMBED),
    "/api/embeddings": _Run(TaskType.EMBED, ask_ollama, LegacyEmbeddingEncoder),
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
        encoder = run.encoder(ask, simulator.now(), simulator.reported(load))
        said = _embed_pieces(script) if ask.kind is TaskType.EMBED else pieces(ask, script)
        # What only loads the model is answered in one piece, asked to stream or not.
        answer = stream_answer if ask.stream and not ask.load else whole_answer
        await answer(simulator, connection, encoder, said, script, call)
    if ask.unload:
        simulator.loaded.unload(ask.model)


async def stream_answer(
    simulator: Simulator,
    connection: Connection,
    encoder: AnswerEncoder,
    said: list[Piece],
    script: Script,
    call: Call,
) -> None:
    """Send the pieces, each when it is due."""
    began = trio.current_time()
    for piece in said:
        if piece.due:
            await trio.sleep_until(began + piece.due)
        if not connection.started:
            await connection.begin(200, encoder.content_type)
        if piece.fault is not None:
            await _break(connection, encoder, piece, script)
            return
        await connection.send(encoder.piece(piece, simulator.elapsed(call)))
    await connection.end()


async def _break(
    connection: Connection, encoder: AnswerEncoder, piece: Piece, script: Script
) -> None:
    line = encoder.piece(Piece(0, text="these words never come whole"), 0)
    match piece.fault:
        case "error":
            await connection.send(encoder.error(script.error))
        case "garbage":
            await connection.send(b"<html>this is no JSON</html>\n")
        case "half_line":
            await connection.send(line[: len(line) // 2])
        case "cut":
            await connection.cut(line)
            return
    await connection.end()


async def whole_answer(
    simulator: Simulator,
    connection: Connection,
    encoder: AnswerEncoder,
    said: list[Piece],
    script: Script,
    call: Call,
) -> None:
    """An answer in one piece, after all of its tokens are due; its faults are those of a body."""
    await trio.sleep_until(trio.current_time() + said[-1].due)
    fault = said[-1].fault
    if fault == "error":
        raise Refused(500, script.error)
    body = b"" if fault else encoder.whole(said, simulator.elapsed(call))
    match fault:
        case "garbage":
            body = b"<html>this is no JSON</html>\n"
        case "half_line":
            body = b'{"model":"half'
        case "cut":
            await connection.begin(200, encoder.whole_type)
            await connection.cut(b'{"model":"cut in the middle"}')
            return
    await connection.respond(200, body, encoder.whole_type)


def _embed_pieces(script: Script) -> list[Piece]:
    due = float("inf") if script.fault == "hang" else script.delay
    return [Piece(due, fault=script.fault)]
