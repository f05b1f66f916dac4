"""Feeds the body of an answer to its reader, as it comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from oq.backends.encoding import decoder_of
from oq.backends.http1.errors import Lost
from oq.backends.http1.exchange import Answer
from oq.backends.silence import Heard
from oq.dialects.answer_limit import over
from oq.words.errors import BackendFailure

Feed = Callable[[bytes], bool]
"""Takes the bytes of an answer as they come; true once the answer is whole."""

GRACE = 0.5
"""Seconds that a whole answer may take to end its HTTP body, so that the connection can be used
again; then it is closed."""


class Pouring:
    """Feeds one body to `feed`, until the answer is whole, or ends. `limit` is in bytes: so many
    may come, and so long may their text be. Of a compressed answer that is not the same.
    """

    def __init__(self, answer: Answer, feed: Feed, limit: int) -> None:
        self._answer = answer
        self._feed = feed
        self._limit = limit
        self._decode = decoder_of(answer)
        self._received = self._size = 0
        self._whole = False

    async def run(self, heard: Heard) -> None:
        """Do it. BackendFailure, Lost, and whatever `feed` raises."""
        if self._decode.plain:
            await self._answer.pour(partial(self._hear, heard))
        else:
            await self._inflate_all(heard)
        if not self._whole:
            self._decode.end()
        elif not self._answer.whole:
            await self._rest()

    def _hear(self, heard: Heard, data: bytes) -> bool:
        heard.note()
        self._take(data)
        return self._whole

    async def _inflate_all(self, heard: Heard) -> None:
        while not self._whole and (data := await self._answer.receive()):
            heard.note()
            self._received += len(data)
            if self._received > self._limit:
                raise over(self._limit)
            await self._inflate(data)

    async def _rest(self) -> None:
        """Only the end of the answer is missing, and is worth no long wait. What comes before it
        passes too, while there is room.
        """
        with trio.move_on_after(GRACE), suppress(Lost):
            while data := await self._answer.receive():
                with suppress(BackendFailure):
                    await self._inflate(data)

    async def _inflate(self, data: bytes) -> None:
        others = False
        for piece in self._decode(data):
            if others:  # a few bytes may be many pieces, and work for long: others get their turn
                await trio.lowlevel.checkpoint()
            others = True
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            raise over(self._limit)
        self._whole = self._feed(piece) or self._whole
