"""The backend's chunks as the pieces of a stream, and pieces as what a reader gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from oq.words.stream import Chunk, Piece

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


class StreamLog(Struct, frozen=True, array_like=True):
    """All that one attempt generated, as it is stored."""

    attempt: int
    pieces: list[Piece]


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
