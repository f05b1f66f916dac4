"""Following a stream or events over HTTP, for asyncio and trio."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio
import anyio.lowlevel
import httpx

from oq.client.failures import unreached
from oq.client.follow import EventFollower, Follower, Trouble, late
from oq.client.lifetime import Closing
from oq.client.retries import read
from oq.words.errors import Unavailable

T = TypeVar("T")


class AsyncFollowing(Generic[T]):
    """What a follower yields, over as many connections as it takes: an async iterator, and the
    context in which it holds one.
    """

    def __init__(
        self,
        follower: Follower[T],
        http: httpx.AsyncClient,
        server: str,
        timeout: float,
        closing: Closing,
    ) -> None:
        self._closing = closing
        self._follower = follower
        self._http = http
        self._server = server
        self._timeout = timeout
        self._due: deque[T] = deque()
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] = _nothing()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._hang_up()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._due:
            await anyio.lowlevel.checkpoint()
        while not self._due:
            if self._follower.ended:
                raise StopAsyncIteration
            await self._receive()
        return self._due.popleft()

    async def greeting(self, follower: EventFollower) -> None:
        """Connect, and return once no event can be missed. Raises what is wrong at once, also if
        that takes longer than the client's timeout.
        """
        try:
            with anyio.move_on_after(self._timeout):
                return await self._greeted(follower)
        except httpx.HTTPError as error:
            raise unreached(error, self._server) from None
        raise late(self._server, self._timeout)

    async def _greeted(self, follower: EventFollower) -> None:
        while not follower.greeted:
            data = await self._closing.run(self._next)
            if not data:
                raise Unavailable(f"{self._server} is shutting down; try again when it is back")
            self._due.extend(self._follower.feed(data))

    async def _receive(self) -> None:
        trouble: Trouble = None
        self._closing.check()
        try:
            data = await self._closing.run(self._next)
        except (httpx.HTTPError, Unavailable) as error:
            data, trouble = b"", error
        if data:
            self._due.extend(self._follower.feed(data))
            return
        await self._hang_up()
        await anyio.sleep(self._follower.lost(trouble, time.monotonic()))

    async def _next(self) -> bytes:
        """The next bytes, over a connection that is made if there is none; none at its end."""
        if self._response is None:
            await self._connect()
        return await anext(self._body, b"")

    async def _connect(self) -> None:
        call = self._follower.call()
        request = call.request(self._http, self._timeout)
        response = self._response = await self._http.send(request, stream=True)
        self._body = response.aiter_bytes()  # some proxies compress unasked
        if not response.is_success:
            await response.aread()
        read(call, response, self._server)
        self._follower.connected(time.monotonic())

    async def _hang_up(self) -> None:
        response, body = self._response, self._body
        self._response, self._body = None, _nothing()
        if response is None:
            return
        with anyio.CancelScope(shield=True):
            await response.aclose()
            # httpx reads through generators within generators, and under trio each one that is
            # left in its middle is a ResourceWarning; on a closed connection they run to their end.
            with suppress(httpx.HTTPError, httpx.StreamError):
                async for _ in body:
                    pass


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
