"""The calls that run a model, over HTTP: the same machine speaks several APIs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from oq.backends.simulated import ask_dicts as asks
from oq.backends.simulated.ask import Ask, ask_ollama
from oq.backends.simulated.ask_forms import ask_edit, ask_transcription
from oq.backends.simulated.ask_openai import ask_openai, ask_unnamed
from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.encode_events import CountEncoder, MessagesEncoder, ResponsesEncoder
from oq.backends.simulated.encode_llama import (
    CompletionEncoder,
    DetokenizeEncoder,
    EmbeddingEncoder,
    RerankEncoder,
    TokenizeEncoder,
)
from oq.backends.simulated.encode_media import (
    EditsEncoder,
    ImagesEncoder,
    ModerationEncoder,
    SpeechEncoder,
    TranscriptEncoder,
)
from oq.backends.simulated.encoders import (
    AnswerEncoder,
    LegacyEmbeddingEncoder,
    OllamaEncoder,
    OpenAIEncoder,
)
from oq.backends.simulated.packed import unpacked
from oq.backends.simulated.pieces import Piece, pieces, timed
from oq.backends.simulated.quirks import QuirkyEncoder
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.refusals import check_refusal, is_raw, raw_bytes
from oq.backends.simulated.runner import Pace, RunnerKilled
from oq.backends.simulated.script import Script
from oq.backends.simulated.simulator import Call, Simulator
from oq.backends.simulated.spent import Spent
from oq.words.task import TaskType


@dataclass(frozen=True, slots=True)
class Run:
    """A call that runs a model: how it is read, and how its answer is encoded. One that does not
    generate has an answer that is made at once, from the request alone; a `slot` it may need all
    the same.
    """

    kind: TaskType
    read: Callable[[TaskType, bytes], Ask]
    encode: Callable[[Ask, datetime, Spent], AnswerEncoder]
    generates: bool = True
    slot: bool = True

    def ask(self, body: bytes) -> Ask:
        """What a body asks; Refused if it is wrong."""
        return self.read(self.kind, body)

    def encoder(
        self, ask: Ask, created_at: datetime, spent: Spent, script: Script
    ) -> AnswerEncoder:
        """What encodes its answer, with the script's quirks."""
        encoder = self.encode(ask, created_at, spent)
        return QuirkyEncoder(encoder, script.quirks) if script.quirks else encoder


_CHAT, _GENERATE, _EMBED = TaskType.CHAT, TaskType.GENERATE, TaskType.EMBED
_EMBEDDING = Run(_EMBED, ask_unnamed, EmbeddingEncoder, generates=False)
_RERANK = Run(_GENERATE, asks.ask_rerank, RerankEncoder, generates=False)
_TRANSCRIPT = Run(_GENERATE, ask_transcription, TranscriptEncoder)

RUNS = {
    "/api/chat": Run(_CHAT, ask_ollama, OllamaEncoder),
    "/api/generate": Run(_GENERATE, ask_ollama, OllamaEncoder),
    "/api/embed": Run(_EMBED, ask_ollama, OllamaEncoder, generates=False),
    "/api/embeddings": Run(_EMBED, ask_ollama, LegacyEmbeddingEncoder, generates=False),
    "/v1/chat/completions": Run(_CHAT, ask_openai, OpenAIEncoder),
    "/v1/completions": Run(_GENERATE, ask_openai, OpenAIEncoder),
    "/v1/embeddings": Run(_EMBED, ask_openai, OpenAIEncoder, generates=False),
    "/v1/responses": Run(_CHAT, asks.ask_responses, ResponsesEncoder),
    "/v1/messages": Run(_CHAT, asks.ask_messages, MessagesEncoder),
    "/v1/messages/count_tokens": Run(
        _CHAT, asks.ask_count, CountEncoder, generates=False, slot=False
    ),
    "/v1/rerank": _RERANK,
    "/v1/reranking": _RERANK,
    "/rerank": _RERANK,
    "/reranking": _RERANK,
    "/v1/moderations": Run(_GENERATE, asks.ask_moderation, ModerationEncoder, generates=False),
    "/v1/images/generations": Run(_GENERATE, asks.ask_images, ImagesEncoder),
    "/v1/images/edits": Run(_GENERATE, ask_edit, EditsEncoder),
    "/v1/audio/speech": Run(_GENERATE, asks.ask_speech, SpeechEncoder),
    "/v1/audio/transcriptions": _TRANSCRIPT,
    "/v1/audio/translations": _TRANSCRIPT,
    "/completion": Run(_GENERATE, asks.ask_llama, CompletionEncoder),
    "/completions": Run(_GENERATE, asks.ask_llama, CompletionEncoder),
    "/chat/completions": Run(_CHAT, ask_unnamed, OpenAIEncoder),
    "/embedding": _EMBEDDING,
    "/embeddings": _EMBEDDING,
    "/infill": Run(_GENERATE, asks.ask_infill, CompletionEncoder),
    "/tokenize": Run(_GENERATE, asks.ask_tokens, TokenizeEncoder, generates=False, slot=False),
    "/detokenize": Run(_GENERATE, asks.ask_tokens, DetokenizeEncoder, generates=False, slot=False),
}
"""By path."""


async def run_model(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call
) -> None:
    """Answer a call to one of RUNS; Refused when it is to get an HTTP error."""
    run = RUNS[request.path]
    body = unpacked(request)
    ask = run.ask(body)
    script = connection.script = simulator.script_for(ask)
    check_refusal(script, body)
    if not ask.model:
        ask = replace(ask, model=simulator.listed[0])
    call.model = ask.model
    if script.fault == "reset":
        await connection.reset()
        return
    encoder = run.encoder(ask, simulator.now(), Spent(), script)
    if ask.unload:
        simulator.loaded.unload(ask.model)
        await connection.respond(200, encoder.whole(pieces(ask, script), 0), encoder.whole_type)
        return
    try:
        async with simulator.hold(ask, script, slot=run.slot) as hold:
            if is_raw(script):
                await raw_answer(connection, script, hold)
                return
            encoder = run.encoder(ask, simulator.now(), simulator.spent(hold, script), script)
            said = pieces(ask, script) if run.generates else instant(script)
            # What only loads the model is answered in one piece, asked to stream or not.
            at_once = not ask.stream or not run.generates or ask.load or ask.render_only
            if at_once and simulator.loaded.runs_on:
                hold.ends = hold.began + said[-1].due
            answer = whole_answer if at_once else stream_answer
            await answer(simulator, connection, encoder, said, script, call, hold)
    except RunnerKilled as killed:
        if not connection.started:
            raise Refused(500, str(killed)) from None
        await connection.send(encoder.killed())
        await connection.end()


def instant(script: Script) -> list[Piece]:
    """The pieces of an answer for which nothing is generated."""
    due = float("inf") if script.fault == "hang" else script.first
    return [Piece(due, fault=script.fault)]


async def raw_answer(connection: Connection, script: Script, pace: Pace) -> None:
    """The answer whose very bytes the script has."""
    status = script.status or 200
    if script.body is not None:
        await pace.wait(script.first)
        await connection.respond(status, raw_bytes(script.body, script))
        return
    frames = [Piece(0, text=frame) for frame in script.frames or ()]
    said = timed([*frames, Piece(0)] if script.fault else frames, script)
    for piece in said:
        await pace.wait(piece.due, killed=piece.fault == "killed")
        if not connection.started:
            await connection.begin(status, "text/event-stream")
        if piece.fault is not None:
            await _break(connection, b"data: cut in the middle\n\n", piece, script)
            return
        await connection.send(raw_bytes(piece.text, script))
    if not connection.started:
        await connection.begin(status, "text/event-stream")
    await connection.end()


async def stream_answer(
    simulator: Simulator,
    connection: Connection,
    encoder: AnswerEncoder,
    said: list[Piece],
    script: Script,
    call: Call,
    pace: Pace,
) -> None:
    """Send the pieces, each when it is due."""
    for piece in said:
        await pace.wait(piece.due, killed=piece.fault == "killed")
        if not connection.started:
            await connection.begin(200, encoder.content_type)
        if piece.fault == "error":
            await connection.send(encoder.error(script.error, script.error_fields))
            break
        if piece.fault is not None:
            frame = encoder.piece(Piece(0, text="these words never come whole"), 0)
            await _break(connection, frame, piece, script)
            return
        await connection.send(encoder.piece(piece, simulator.elapsed(call)))
    await connection.end()


async def _break(connection: Connection, frame: bytes, piece: Piece, script: Script) -> None:
    match piece.fault:
        case "error":
            await connection.send(script.error.encode())
        case "garbage":
            await connection.send(b"<html>this is no JSON</html>\n")
        case "half_line":
            await connection.send(frame[: len(frame) // 2])
        case "cut":
            await connection.cut(frame)
            return
        case "cut_between":
            await connection.close()
            return
    await connection.end()


async def whole_answer(
    simulator: Simulator,
    connection: Connection,
    encoder: AnswerEncoder,
    said: list[Piece],
    script: Script,
    call: Call,
    pace: Pace,
) -> None:
    """An answer in one piece, after all of its tokens are due; its faults are those of a body."""
    fault = said[-1].fault
    await pace.wait(said[-1].due, killed=fault == "killed")
    if fault == "error":
        raise Refused(script.status or 500, script.error, fields=script.error_fields)
    body = b"" if fault else encoder.whole(said, simulator.elapsed(call))
    match fault:
        case "garbage":
            body = b"<html>this is no JSON</html>\n"
        case "half_line":
            body = b'{"model":"half'
        case "cut" | "cut_between":
            await connection.begin(200, encoder.whole_type)
            await connection.cut(b'{"model":"cut in the middle"}')
            return
    await connection.respond(200, body, encoder.whole_type)
