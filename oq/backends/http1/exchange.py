"""One request over one connection, and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import trio

from oq.backends.http1.arrivals import Arrivals
from oq.backends.http1.connection import Connection
from oq.backends.http1.errors import Lost
from oq.backends.http1.reading import AnswerReader
from oq.backends.http1.request import Body, Fields, Request

IN_ONE_WRITE = 16 * 1024
"""Bytes of a head and its body that are written together: one record of TLS."""
BEFORE_LISTENING = 64 * 1024
"""Bytes of a body that are written before the answer is waited for. While a longer one is written,
the server may answer that it is too long, and read no further.
"""


Take = Callable[[bytes], bool]
"""Takes bytes of a body. True: it wants no more."""


class Answer:
    """The answer to one request. Its head is here; its body comes by `receive`."""

    def __init__(
        self, connection: Connection, reader: AnswerReader, sent: Fields, arrivals: Arrivals
    ) -> None:
        self.sent = sent
        """The headers of the request."""
        self._arrivals = arrivals
        self._connection = connection
        self._reader = reader

    @property
    def status(self) -> int:
        return self._reader.status

    @property
    def reason(self) -> bytes:
        return self._reader.reason

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The headers in their order and as they are written, without the spaces around a value."""
        return self._reader.fields

    @property
    def whole(self) -> bool:
        """Whether the end of the answer has come."""
        return self._reader.whole

    @property
    def open_end(self) -> bool:
        """Whether the body ends where the connection does, so that a cut cannot be told from it."""
        return self._reader.open_end

    def field(self, name: bytes) -> bytes:
        """The header of this name, which is in lower case; several are joined by commas."""
        return b", ".join([value for each, value in self._reader.fields if each.lower() == name])

    async def receive(self) -> bytes:
        """The next bytes of the body, as they came; none at its end. Or Lost."""
        reader = self._reader
        while not (data := reader.take()) and not reader.whole:
            reader.feed(await self._connection.receive())
        return data

    async def pour(self, take: Take) -> None:
        """Give `take` the bytes of the body as they come, until it wants no more, or the body ends.
        Lost, and whatever `take` raises.
        """
        if not self._give(take):
            await self._connection.pour(self._arrivals, partial(self._came, take))

    def _came(self, take: Take, data: bytes) -> bool:
        self._reader.feed(data)
        return self._give(take)

    def _give(self, take: Take) -> bool:
        """Whether that was all that is wanted, or all that comes."""
        while data := self._reader.take():
            if take(data):
                return True
        return self._reader.whole

    async def begin(self) -> None:
        """Wait for the head. Or Lost."""
        while not self._reader.has_head:
            self._reader.feed(await self._connection.receive())


Use = Callable[[Answer], Awaitable[None]]
"""Takes an answer whose head has come. What it leaves unread, nobody reads."""


class Exchange:
    """Sends `request` over `connection`, and lets `use` take the answer. `arrivals` waits for what
    comes on the connections of the client.
    """

    def __init__(
        self, request: Request, connection: Connection, use: Use, arrivals: Arrivals
    ) -> None:
        self.answered = False
        """Whether an answer has begun."""
        self._request = request
        self._connection = connection
        self._use = use
        self._arrivals = arrivals
        self._reader = AnswerReader(head_only=request.head_only)
        self._began = self._sent = False
        self._body_error: Exception | None = None

    async def run(self) -> None:
        """Do it. Lost, and whatever `use` or a body in parts raises."""
        head, body = self._request.head, self._request.body
        if not isinstance(body, bytes) or len(body) > BEFORE_LISTENING:
            self._began = await self._wrote(head)
            await (self._write_and_listen(body) if self._began else self._listen())
            return
        if len(head) + len(body) <= IN_ONE_WRITE:
            self._began = self._sent = await self._wrote(head + body)
        else:
            self._began = await self._wrote(head)
            self._sent = self._began and await self._wrote(body)
        await self._listen()

    def end(self) -> bool:
        """Nobody reads on. Whether the connection can be used again; it is closed otherwise."""
        reader = self._reader
        done = self._sent and reader.whole
        kept = done and reader.keeps and self._request.keeps
        if not done:
            self._connection.cut()
        elif not kept:
            self._connection.close()
        reader.release()
        return kept

    async def _wrote(self, data: bytes) -> bool:
        """Whether all of it could be written. A server that reads no further may have answered, so
        the answer is looked for in any case.
        """
        try:
            await self._connection.send(data)
        except Lost:
            return False
        return True

    async def _listen(self) -> None:
        answer = Answer(self._connection, self._reader, self._request.fields, self._arrivals)
        try:
            await answer.begin()
        except Lost as error:
            error.unsent = not self._began
            raise
        self.answered = True
        await self._use(answer)

    async def _write_and_listen(self, body: Body) -> None:
        """Both at once. What is not sent by the end of the answer, nobody wants."""
        error: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_aside, body, nursery.cancel_scope)
            try:
                await self._listen()
            except Exception as raised:  # raised below, and so not in a group
                error = raised
            nursery.cancel_scope.cancel()
        if self._body_error is not None:
            raise self._body_error
        if error is not None:
            raise error

    async def _write_aside(self, body: Body, both: trio.CancelScope) -> None:
        try:
            self._sent = await self._wrote_body(body)
        except Exception as error:  # of a body in parts: its caller may have gone
            self._body_error = error
            both.cancel()

    async def _wrote_body(self, body: Body) -> bool:
        if isinstance(body, bytes):
            return await self._wrote(body)
        left, parts = self._request.length, aiter(body)
        return await (self._wrote_chunks(parts) if left is None else self._wrote_parts(parts, left))

    async def _wrote_chunks(self, parts: AsyncIterator[bytes]) -> bool:
        async for part in parts:  # one that is empty would be the end
            if part and not await self._wrote(b"%x\r\n%b\r\n" % (len(part), part)):
                return False
        return await self._wrote(b"0\r\n\r\n")

    async def _wrote_parts(self, parts: AsyncIterator[bytes], left: int) -> bool:
        async for part in parts:
            left -= len(part)
            if left < 0:
                break
            if not await self._wrote(part):
                return False
        if left:
            raise Lost("the body of the request is not as long as its Content-Length")
        return True
