"""Following a stream or events over HTTP, for programs that block."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

import httpx

from oq.client.failures import unreached
from oq.client.follow import EventFollower, Follower, Trouble, late
from oq.client.retries import CLOSED, read
from oq.words.errors import Unavailable

T = TypeVar("T")


class Following(Generic[T]):
    """What a follower yields, over as many connections as it takes: an iterator, and the context
    in which it holds one.
    """

    def __init__(
        self, follower: Follower[T], http: httpx.Client, server: str, timeout: float
    ) -> None:
        self._follower = follower
        self._http = http
        self._server = server
        self._timeout = timeout
        self._due: deque[T] = deque()
        self._response: httpx.Response | None = None
        self._body: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._hang_up()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while not self._due:
            if self._follower.ended:
                raise StopIteration
            self._receive()
        return self._due.popleft()

    def greeting(self, follower: EventFollower) -> None:
        """Connect, and return once no event can be missed. Raises what is wrong at once, also if
        what comes is no greeting for longer than the client's timeout.
        """
        try:
            self._connect()
            deadline = time.monotonic() + self._timeout
            while not follower.greeted:
                if time.monotonic() >= deadline:
                    raise late(self._server, self._timeout)
                data = next(self._body, b"")
                if not data:
                    raise Unavailable(f"{self._server} is shutting down; try again when it is back")
                self._due.extend(self._follower.feed(data))
        except httpx.HTTPError as error:
            raise unreached(error, self._server) from None

    def _receive(self) -> None:
        trouble: Trouble = None
        if self._http.is_closed:
            raise Unavailable(CLOSED)
        try:
            if self._response is None:
                self._connect()
            data = next(self._body, b"")
        except (httpx.HTTPError, Unavailable) as error:
            data, trouble = b"", error
        if data:
            self._due.extend(self._follower.feed(data))
            return
        self._hang_up()
        time.sleep(self._follower.lost(trouble, time.monotonic()))

    def _connect(self) -> None:
        call = self._follower.call()
        request = call.request(self._http, self._timeout)
        response = self._response = self._http.send(request, stream=True)
        self._body = response.iter_bytes()  # some proxies compress unasked
        if not response.is_success:
            response.read()
        read(call, response, self._server)
        self._follower.connected(time.monotonic())

    def _hang_up(self) -> None:
        response, self._response, self._body = self._response, None, iter(())
        if response is not None:
            response.close()
