"""The backend's chunks as the pieces of a stream, and pieces as what a reader gets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from oq.words.stream import Chunk, Piece

_DATA = re.compile(rb"^data: ?([^\n]*)", re.MULTILINE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Any] | None = None


class _OllamaChunk(Struct):
    """Of a chunk in Ollama's form (chat and generate), what a stream passes on."""

    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    logprobs: list[Any] | None = None


class StreamLog(Struct, frozen=True, array_like=True, omit_defaults=True):
    """All that one attempt generated, as it is stored: pieces or, of a task that is a call, the
    backend's own bytes, chunk by chunk.
    """

    attempt: int
    pieces: list[Piece]
    frames: list[bytes] = []

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self.pieces) + len(self.frames)


class _Delta(Struct, frozen=True):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


_NO_DELTA = _Delta()


class _Choice(Struct, frozen=True):
    delta: _Delta = _NO_DELTA
    text: str | None = None


_NO_CHOICE = _Choice()


class _OpenAIEvent(Struct):
    """Of an event in OpenAI's form, what a stream passes on: of its first choice alone."""

    choices: list[_Choice] = []


_decode_event = msgspec.json.Decoder(_OpenAIEvent).decode
_decode_chunk = msgspec.json.Decoder(_OllamaChunk).decode


def piece_of(chunk: bytes) -> Piece:
    """The piece in one chunk, which the backend has found to be in Ollama's form."""
    said = _decode_chunk(chunk)
    message = said.message
    if message is None:
        return Piece(said.response or "", said.thinking or None, None, said.logprobs or None)
    return Piece(
        message.content or "", message.thinking or None, message.tool_calls or None,
        said.logprobs or None,
    )  # fmt: skip


def piece_of_frame(frame: bytes) -> Piece:
    """The piece in one chunk as a backend sent it: a line of Ollama's, or an event of OpenAI's."""
    if frame.lstrip()[:1] == b"{":
        return piece_of(frame)
    data = event_data(frame)
    if not data or data == b"[DONE]":
        return Piece()
    choice = next(iter(_decode_event(data).choices), _NO_CHOICE)
    delta = choice.delta
    return Piece(
        delta.content or choice.text or "",
        delta.reasoning_content or delta.reasoning or None,
        delta.tool_calls or None,
    )


def event_data(event: bytes) -> bytes:
    """The data of a server-sent event, without its frame."""
    return b"\n".join([line.rstrip(b"\r") for line in _DATA.findall(event)])


def attempt_id(started_at: datetime) -> int:
    """What names an attempt: when it started, in microseconds since 1970."""
    return (started_at - _EPOCH) // _MICROSECOND


def chunks(pieces: Sequence[Piece], offset: int, attempt: int) -> Iterator[Chunk]:
    """The pieces from `offset` on, with text that stands together joined into one chunk."""
    position = offset
    while position < len(pieces):
        piece = pieces[position]
        position += 1
        text = piece.text
        if piece.is_text:
            begin = position
            while position < len(pieces) and pieces[position].is_text:
                position += 1
            text += "".join(more.text for more in pieces[begin:position])
        yield Chunk(
            data=text,
            offset=position,
            done=False,
            attempt=attempt,
            thinking=piece.thinking,
            tool_calls=piece.tool_calls,
            logprobs=piece.logprobs,
        )


def logged_chunks(log: StreamLog, offset: int) -> Iterator[Chunk]:
    """What a reader gets of a log, from `offset` on."""
    if not log.frames:
        return chunks(log.pieces, offset, log.attempt)
    pieces = [piece_of_frame(frame) for frame in log.frames[offset:]]
    return (
        msgspec.structs.replace(chunk, offset=chunk.offset + offset)
        for chunk in chunks(pieces, 0, log.attempt)
    )
