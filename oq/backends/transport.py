"""HTTP to a backend: one client, its two timeouts, and every way to fail as one of three errors.

The whole attempt is not timed here; the worker pool does that. A server may be silent for as long
as it lives (`oq.backends.silence`). Cancelling a call closes its
connection at once: that is how both Ollama and llama.cpp are told to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import httpx
import trio

from oq.backends.address import check_api_key
from oq.backends.base import Passage, Reply, way
from oq.backends.connections import open_client
from oq.backends.encoding import decoder, decoder_of
from oq.backends.http1.client import Client
from oq.backends.http1.errors import Lost, Unreachable
from oq.backends.http1.exchange import Answer, Use
from oq.backends.http1.request import NOT_KEPT, Body, Fields
from oq.backends.keep_alive import Keeping, Trial
from oq.backends.pouring import Feed, Pouring
from oq.backends.replies import OF_THE_BODY, Replies, beginning
from oq.backends.secrets import ScrubbedStream, Secret
from oq.backends.silence import Heard, Silence
from oq.backends.target import target
from oq.dialects.answer_limit import MAX_ANSWER
from oq.rules.via import HEADER as VIA
from oq.words.clock import Clock
from oq.words.durations import format_duration
from oq.words.errors import BackendDown, BackendFailure
from oq.words.head import Head, Headers

Begin = Callable[[Head], Feed]
"""Takes the head of an answer; what it gives takes the bytes of its body."""

Read = Callable[[Answer], Feed]

PROBE_TIMEOUT = 5.0
MAX_LIST = 4 * 1024 * 1024
"""Bytes of a list of models. It is decoded at once, while everybody else waits."""
_VIA = VIA.encode("ascii")
_JSON = [(b"Content-Type", b"application/json")]
"""Of what oq asks itself. A call has what its caller said of it, if anything."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, and of silence after which the server is asked whether it lives."""

    connect: float
    silence: float


class Transport:
    """The connections to one server. `probed` is a path that it answers at once whatever it does,
    and `hint` is said to whom finds nobody there.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeouts: Timeouts,
        probed: str,
        hint: str,
        clock: Clock,
        max_answer: int = MAX_ANSWER,
        pass_authorization: bool = False,
    ) -> None:
        self.url = url
        self.max_answer = max_answer
        self.generation = 0  # grows when nobody is there: then another server may answer next
        self._key = check_api_key(api_key)
        self._pass_authorization = pass_authorization
        self.secret = Secret(self._key)
        self._connect_timeout = timeouts.connect
        self._probed = probed
        self._hint = hint
        self._silence = Silence(url, timeouts.silence, self.probe)
        self._replies = Replies(url, self.secret, clock)
        self._client: Client | None = None
        self._keeping = Keeping()

    async def stream(self, path: str, body: bytes, feed: Feed) -> None:
        """POST, and feed the answer's body until `feed` says that it is whole, or it ends.

        Without TLS its connection is used again if the server is known to leave it open: see
        `oq.backends.keep_alive`.

        Raises BackendDown, BackendFailure and BackendRejected, and whatever `feed` raises.
        """
        await self._stream(path, body, lambda _: feed, _JSON)

    async def call(
        self, path: str, body: bytes, headers: Headers, begin: Begin, *, streams: bool
    ) -> bool:
        """POST a call as its caller made it, with these headers of its caller, and let `begin` take
        the head and the bytes of the answer. `streams`: it asks for a stream. The errors are those
        of `stream`, each with the head of the answer that it is about.

        False if nothing says that the answer has come to its end but the end of its connection.
        """
        sure = True

        def with_head(answer: Answer) -> Feed:
            nonlocal sure
            sure = not (answer.open_end and decoder_of(answer).plain)
            return begin(self._replies.head(answer))

        up = [*headers]
        if not self._pass_authorization:
            up = [item for item in up if item[0] != b"authorization"]
        if streams:
            await self._stream(path, body, with_head, up)
        else:
            await self._exchange(b"POST", path, body, with_head, up)
        return sure

    def secret_of(self, headers: Headers) -> Secret:
        """The key of the server, and that of the caller of a call with these headers, if it goes
        to the server.
        """
        own = ((b"authorization", (self._key or "").encode()),)
        return self.secret.with_those_in((*own, *headers) if self._pass_authorization else own)

    async def _stream(self, path: str, body: bytes, begin: Read, headers: Fields) -> None:
        keeping = self._keeping
        if (judged := keeping.judge()) is not None:
            judged.client.close()
        if keeping.keeps or self.url.startswith("https:"):
            await self._exchange(b"POST", path, body, begin, headers)
        elif keeping.may_try():
            await self._try_out(path, body, begin, headers)
        else:
            await self._exchange(b"POST", path, body, begin, [*headers, NOT_KEPT])

    async def _try_out(self, path: str, body: bytes, begin: Read, headers: Fields) -> None:
        """The same on a connection of its own, which is left open until that has been judged."""
        trial = self._keeping.trial = Trial(self._new_client())
        try:
            await self._exchange(b"POST", path, body, begin, headers, trial)
        except BaseException:
            self._keeping.trial = None
            trial.client.close()
            raise
        trial.ended = trio.current_time()

    async def _exchange(
        self,
        method: bytes,
        path: str,
        body: bytes,
        begin: Read,
        headers: Fields = (),
        trial: Trial | None = None,
    ) -> None:
        heard = Heard()

        async def use(answer: Answer) -> None:
            heard.note()
            await self._replies.check(answer)
            await Pouring(answer, begin(answer), self.max_answer).run(heard)

        async def exchange() -> None:
            client = self._opened() if trial is None else trial.client
            await self._send(method, path, body, use, headers, client)

        await self._silence.watch(heard, exchange)

    async def fetch(self, path: str, body: bytes) -> bytes:
        """POST, and give the answer's body whole."""
        return await self._whole(b"POST", path, body, headers=_JSON)

    async def get(self, path: str) -> bytes:
        """GET, and give the answer's body whole: a list, of MAX_LIST bytes at most."""
        return await self._whole(b"GET", path, b"", MAX_LIST)

    async def _whole(
        self, method: bytes, path: str, body: bytes, most: float = inf, headers: Fields = ()
    ) -> bytes:
        answer = bytearray()

        def feed(data: bytes) -> bool:
            answer.extend(data)
            if len(answer) > most:
                raise BackendFailure(f"{path} at {self.url} answers more than {most} bytes")
            return False

        await self._exchange(method, path, body, lambda _: feed, headers)
        return bytes(answer)

    async def pass_on(self, passage: Passage, path: str, reply: Reply) -> None:
        """Send the request to `path` as it came, and let `reply` take the answer as it comes.

        BackendDown means that the server has fallen silent, if `reply` has begun. While it lives it
        may be silent: a model that is pulled is checked for minutes without a word.
        """
        heard = Heard()

        async def use(answer: Answer) -> None:
            heard.note()
            headers = self._replies.headers(answer)
            if answer.status >= 400 and self.secret.longest:
                body = await self._replies.error_body(answer)
                headers = [item for item in headers if item[0].lower() not in OF_THE_BODY]
                headers.append((b"content-length", b"%d" % len(body)))
                await reply.begin(answer.status, headers)
                await reply.piece(body)
                return
            await self._relay(answer, headers, reply, heard)

        async def exchange() -> None:
            method, body, up = passage.method.encode("ascii"), passage.body, passage.headers
            # A body in parts cannot be sent again: it gets a connection that has not waited.
            whole = isinstance(body, bytes)
            client = self._opened() if whole else self._new_client()
            try:
                await self._send(method, path, body, use, up, client)
            finally:
                if not whole:
                    client.close()

        await self._silence.watch(heard, exchange)

    async def _relay(
        self, answer: Answer, headers: list[tuple[bytes, bytes]], reply: Reply, heard: Heard
    ) -> None:
        """Pass the answer on as it comes. None of it is what a model generates, so a key is taken
        out of all of it; for that it must be plain.
        """
        decode = decoder("")
        if self.secret.longest and answer.field(b"content-encoding"):
            decode = decoder_of(answer)
            headers = [item for item in headers if item[0].lower() not in OF_THE_BODY]
        sized = any(name.lower() == b"content-length" for name, _ in headers)
        clean = ScrubbedStream(self.secret, keep_length=sized)
        await reply.begin(answer.status, headers)
        while data := await answer.receive():
            heard.note()
            for piece in decode(data):
                await reply.piece(clean.feed(piece))
        decode.end()
        await reply.piece(clean.rest())

    async def probe(self) -> None:
        """Ask for something small, and return if there is any answer below 500; BackendDown
        otherwise.
        """
        seconds = min(PROBE_TIMEOUT, self._connect_timeout)
        status = 0

        async def use(answer: Answer) -> None:
            nonlocal status
            status = answer.status
            await beginning(answer)

        with trio.move_on_after(seconds) as scope:
            try:
                await self._ask(b"GET", self._probed, b"", use, (), self._opened())
            except (Lost, Unreachable) as error:
                raise self._nobody(error) from None
        if scope.cancelled_caught:
            waited = format_duration(seconds)
            raise BackendDown(f"no answer from {self.url} within {waited}. {self._hint}")
        if status >= 500:
            raise BackendDown(f"{self.url} answers {status}", status=status)

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._silence.close()
        client, self._client = self._client, None
        trial, self._keeping = self._keeping.trial, Keeping()
        for each in (client, None if trial is None else trial.client):
            if each is not None:
                each.close()

    async def _send(
        self, method: bytes, path: str, body: Body, use: Use, headers: Fields, client: Client
    ) -> None:
        """Send a request, and let `use` take the answer; the errors of the client as oq's."""
        try:
            await self._ask(method, path, body, use, headers, client)
        except Unreachable as error:
            raise self._nobody(error) from None
        except Lost as error:
            raise BackendFailure(f"the connection to {self.url} was lost: {error}") from None

    async def _ask(
        self, method: bytes, path: str, body: Body, use: Use, headers: Fields, client: Client
    ) -> None:
        """The same. Unreachable or Lost."""
        if come := way.get():
            headers = [*headers, (_VIA, come.encode("latin-1"))]
        try:
            where = target(self.url, path)
        except (httpx.InvalidURL, UnicodeError) as error:  # it is one that no server can have
            raise Unreachable(str(error)) from None
        try:
            await client.send(method, where, headers, body, use)
        except Lost as error:
            if error.stale:
                self._keeping.lost()
            raise

    def _opened(self) -> Client:
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> Client:
        return open_client(self._key, self._connect_timeout)

    def _nobody(self, error: Exception) -> BackendDown:
        self.generation += 1
        return BackendDown(f"cannot reach {self.url}: {error}. {self._hint}")
