"""Makes the pieces of a stored stream from a backend's chunks, and a reader's chunks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from oq.words.stream import Chunk, Piece

T = TypeVar("T")

PORTION = 64 * 1024
"""What a reader of a stream is given at once: about so many characters of text, or bytes of frames,
and more only if a single chunk has more. Readers may be many and slow, and each holds its portion
until it has left.
"""
PIECE_WEIGHT = 8
"""What a piece counts in a portion beside its text: thousands of tiny ones are work too."""
OBJECT_WEIGHT = 4096
"""What tool calls or log probabilities count: nobody measures them before they are encoded."""

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


class StreamLog(Struct, frozen=True, array_like=True, omit_defaults=True, weakref=True):
    """What one attempt generated, or a slice of that: pieces or, of a task that is a call, the
    backend's own bytes, chunk by chunk.

    `first` is how many chunks came before this slice, `more` whether another slice follows. A long
    log is stored as several records (see `oq.rules.slices`): its head has no chunks itself, but
    `starts`, the `first` of each slice. The head also says in how many `parts` the task's result
    lies beside the log, if it is a long one; each of those is a log of one frame. `call` is
    the path of the call, which says how its chunks are read; logs of earlier versions lack it.
    """

    attempt: int
    pieces: list[Piece]
    frames: list[bytes] = []
    first: int = 0
    more: bool = False
    starts: list[int] = []
    parts: int = 0
    call: str | None = None

    def __len__(self) -> int:
        """How many chunks there are in it."""
        return len(self.pieces) + len(self.frames)

    @property
    def end(self) -> int:
        """The offset behind its last chunk."""
        return self.first + len(self)


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


def start_of(attempt: int) -> datetime:
    """When the attempt with this name started."""
    return _EPOCH + attempt * _MICROSECOND


def chunks(pieces: Sequence[Piece], offset: int, attempt: int, first: int = 0) -> Iterator[Chunk]:
    """The pieces from `offset` on, with text that stands together joined into one chunk. `first` is
    how many came before these.
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
    """What a reader gets next of a log, from `offset` on: none at its end. `read_frame` gives the
    piece in a chunk of the backend's own bytes.
    """
    start = max(offset - log.first, 0)
    if start == len(log.pieces) - 1:  # the latest alone: what a reader that keeps up asks for
        return list(chunks(log.pieces, start, log.attempt, log.first))
    if log.frames:
        pieces = [read_frame(frame) for frame in portion_of(log.frames, start, len)]
    else:
        pieces = portion_of(log.pieces, start, weight)
    return list(chunks(pieces, 0, log.attempt, log.first + start))


def portion_of(items: Sequence[T], start: int, weigh: Callable[[T], int]) -> list[T]:
    """The items from `start` on that fit into a portion; the first one of them whatever it weighs,
    and one that weighs more than a portion alone.
    """
    total, end = 0, start
    while end < len(items):
        total += weigh(items[end])
        if end > start and total > PORTION:
            break
        end += 1
    return list(items[start:end])


def weight(piece: Piece) -> int:
    """What a piece counts in a portion."""
    if piece.is_text:
        return PIECE_WEIGHT + len(piece.text)
    objects = piece.tool_calls is not None or piece.logprobs is not None
    said = len(piece.text) + len(piece.thinking or "")
    return PIECE_WEIGHT + said + OBJECT_WEIGHT * objects
