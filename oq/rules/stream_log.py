"""The stored stream of a task: a backend's chunks become pieces, and pieces a reader's chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from oq.words.head import Head
from oq.words.stream import Chunk, Piece

T = TypeVar("T")

PORTION = 64 * 1024
"""The size of what a reader of a stream gets at once: characters of text, or bytes of frames. It is
more only if a single chunk is larger. There may be many slow readers, and each holds its portion
until it is sent.
"""
PIECE_WEIGHT = 8
"""The size of a piece in addition to its text: thousands of tiny pieces are work too."""
OBJECT_WEIGHT = 4096
"""The size that tool calls or log probabilities count as: nobody measures them before encoding."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Any] | None = None


class _OllamaChunk(Struct):
    """The fields that a stream needs of a chunk in Ollama's form (chat and generate)."""

    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    logprobs: list[Any] | None = None


class StreamLog(Struct, frozen=True, array_like=True, omit_defaults=True, weakref=True):
    """The output of one attempt, or a slice of it. `pieces` has its chunks. If the task is a call
    of an API, `frames` has the backend's own bytes instead, chunk by chunk.

    `first` is the number of chunks before this slice. `more` says whether another slice follows. A
    long log is stored as several records (see `oq.rules.slices`). Its first record has no chunks,
    but `starts`: the `first` of each slice. A long result is stored beside the log, in `parts`
    records, each of them a log of one frame. `call` is the path of the call; it says how to read
    the frames, and `head` is the head of the backend's answer, in the log's first record. Logs of
    earlier versions have neither.
    """

    attempt: int
    pieces: list[Piece]
    frames: list[bytes] = []
    first: int = 0
    more: bool = False
    starts: list[int] = []
    parts: int = 0
    call: str | None = None
    head: Head | None = None

    def __len__(self) -> int:
        """The number of chunks in it."""
        return len(self.pieces) + len(self.frames)

    @property
    def end(self) -> int:
        """The offset behind its last chunk."""
        return self.first + len(self)


_decode_chunk = msgspec.json.Decoder(_OllamaChunk).decode


def piece_of(chunk: bytes) -> Piece:
    """The piece of one chunk in Ollama's form."""
    decoded = _decode_chunk(chunk)
    message, logprobs = decoded.message, decoded.logprobs or None
    if message is None:
        return Piece(decoded.response or "", decoded.thinking or None, None, logprobs)
    return Piece(
        message.content or "", message.thinking or None, message.tool_calls or None, logprobs
    )


def attempt_id(started_at: datetime) -> int:
    """The id of an attempt: the time when it started, in microseconds since 1970."""
    return (started_at - _EPOCH) // _MICROSECOND


def start_of(attempt: int) -> datetime:
    """When the attempt with this id started."""
    return _EPOCH + attempt * _MICROSECOND


def chunks(pieces: Sequence[Piece], offset: int, attempt: int, first: int = 0) -> Iterator[Chunk]:
    """Chunks with the pieces from `offset` on. Pieces of text that follow each other become one
    chunk. `first` is the number of pieces before these.
    """
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
            offset=first + position,
            done=False,
            attempt=attempt,
            thinking=piece.thinking,
            tool_calls=piece.tool_calls,
            logprobs=piece.logprobs,
        )


def portion(log: StreamLog, offset: int, read_frame: Callable[[bytes], Piece]) -> list[Chunk]:
    """The next chunks for a reader of the log, from `offset` on. There are none at its end.
    `read_frame` makes a piece of a chunk of the backend's own bytes.
    """
    start = max(offset - log.first, 0)
    if start == len(log.pieces) - 1:  # only the latest: the usual case of a reader that keeps up
        return list(chunks(log.pieces, start, log.attempt, log.first))
    if log.frames:
        pieces = [read_frame(frame) for frame in portion_of(log.frames, start, len)]
    else:
        pieces = portion_of(log.pieces, start, weight)
    return list(chunks(pieces, 0, log.attempt, log.first + start))


def portion_of(items: Sequence[T], start: int, weigh: Callable[[T], int]) -> list[T]:
    """The items from `start` on that fit into a portion, and at least one. An item that is larger
    than a portion comes alone.
    """
    total, end = 0, start
    while end < len(items):
        total += weigh(items[end])
        if end > start and total > PORTION:
            break
        end += 1
    return list(items[start:end])


def weight(piece: Piece) -> int:
    """The size of a piece in a portion."""
    if piece.is_text:
        return PIECE_WEIGHT + len(piece.text)
    objects = piece.tool_calls is not None or piece.logprobs is not None
    text = len(piece.text) + len(piece.thinking or "")
    return PIECE_WEIGHT + text + OBJECT_WEIGHT * objects
