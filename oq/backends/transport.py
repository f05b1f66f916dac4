"""HTTP to a backend: one client, its two timeouts, and every way to fail as one of three errors.

The whole attempt is not timed here; the worker pool does that. A server may be silent for as long
as it lives (`oq.backends.silence`). Cancelling a call closes its
connection at once: that is how both Ollama and llama.cpp are told to stop.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf

import httpx
import trio

from oq.backends.address import check_api_key
from oq.backends.base import Passage, Reply, way
from oq.backends.bodies import head, unwind
from oq.backends.connections import open_client
from oq.backends.encoding import decoder
from oq.backends.keep_alive import Keeping, Trial
from oq.backends.progress import Progress, Sent
from oq.backends.replies import OF_THE_BODY, Replies
from oq.backends.secrets import ScrubbedStream, Secret
from oq.backends.silence import Heard, Silence
from oq.backends.target import within
from oq.dialects.answer_limit import MAX_ANSWER
from oq.rules.via import HEADER
from oq.words.clock import Clock
from oq.words.durations import format_duration
from oq.words.errors import BackendDown, BackendFailure
from oq.words.head import Head, Headers

Feed = Callable[[bytes], bool]
"""Takes the bytes of an answer as they come; true once the answer is whole."""

Begin = Callable[[Head], Feed]
"""Takes the head of an answer; what it gives takes the bytes of its body."""

Use = Callable[[httpx.Response], Awaitable[None]]
Read = Callable[[httpx.Response], Feed]
Up = Sequence[tuple[str, str]]
"""Headers of a request, beside those that each has."""

PROBE_TIMEOUT = 5.0
MAX_LIST = 4 * 1024 * 1024
"""Bytes of a list of models. It is decoded at once, while everybody else waits."""
GRACE = 0.5
"""Seconds that a whole answer may take to end its HTTP body, so that the connection can be used
again; then it is closed."""

_NOT_KEPT = [("Connection", "close")]
_JSON = [("Content-Type", "application/json")]
"""Of what oq asks itself. A call has what its caller said of it, if anything."""

_NO_ADDRESS = (httpx.InvalidURL, UnicodeError)
"""What httpx and the codec for host names say of a url that no server can have. Neither is an
HTTPError."""


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
        self._client: httpx.AsyncClient | None = None
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
    ) -> None:
        """POST a call as its caller made it, with these headers of its caller, and let `begin` take
        the head and the bytes of the answer. `streams`: it asks for a stream. The errors are those
        of `stream`, each with the head of the answer that it is about.
        """

        def with_head(response: httpx.Response) -> Feed:
            return begin(self._replies.head(response))

        up = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        if not self._pass_authorization:
            up = [item for item in up if item[0] != "authorization"]
        if streams:
            await self._stream(path, body, with_head, up)
        else:
            await self._exchange("POST", path, body, with_head, up)

    def secret_of(self, headers: Headers) -> Secret:
        """The key of the server, and that of the caller of a call with these headers, if it goes
        to the server.
        """
        own = ((b"authorization", (self._key or "").encode()),)
        return self.secret.with_those_in((*own, *headers) if self._pass_authorization else own)

    async def _stream(self, path: str, body: bytes, begin: Read, headers: Up) -> None:
        keeping = self._keeping
        if (judged := keeping.judge()) is not None:
            await judged.client.aclose()
        if keeping.keeps or self.url.startswith("https:"):
            await self._exchange("POST", path, body, begin, headers)
        elif keeping.may_try():
            await self._try_out(path, body, begin, headers)
        else:
            await self._exchange("POST", path, body, begin, [*headers, *_NOT_KEPT])

    async def _try_out(self, path: str, body: bytes, begin: Read, headers: Up) -> None:
        """The same on a connection of its own, which is left open until that has been judged."""
        trial = self._keeping.trial = Trial(self._new_client())
        try:
            await self._exchange("POST", path, body, begin, headers, trial)
        except BaseException:
            self._keeping.trial = None
            await trial.client.aclose()
            raise
        trial.ended = trio.current_time()

    async def _exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        begin: Read,
        headers: Up = (),
        trial: Trial | None = None,
    ) -> None:
        heard = Heard()
        ending = trio.CancelScope()

        async def use(response: httpx.Response) -> None:
            heard.note()
            if trial is not None:
                trial.connection = response.extensions["network_stream"]
            await self._replies.check(response)
            await self._pour(response, begin(response), heard, ending)

        async def exchange() -> None:
            client = None if trial is None else trial.client
            with ending, self._translated():
                await self._send(method, path, body, use, headers, client)

        await self._silence.watch(heard, exchange)

    async def fetch(self, path: str, body: bytes) -> bytes:
        """POST, and give the answer's body whole."""
        return await self._whole("POST", path, body, headers=_JSON)

    async def get(self, path: str) -> bytes:
        """GET, and give the answer's body whole: a list, of MAX_LIST bytes at most."""
        return await self._whole("GET", path, b"", MAX_LIST)

    async def _whole(
        self, method: str, path: str, body: bytes, most: float = inf, headers: Up = ()
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

        async def use(response: httpx.Response) -> None:
            heard.note()
            headers = self._replies.headers(response)
            if response.is_error and self.secret.longest:
                body = await self._replies.error_body(response)
                headers = [item for item in headers if item[0].lower() not in OF_THE_BODY]
                headers.append((b"content-length", b"%d" % len(body)))
                await reply.begin(response.status_code, headers)
                await reply.piece(body)
                return
            await self._relay(response, headers, reply, heard)

        async def exchange() -> None:
            with self._translated():
                await self._send(passage.method, path, passage.body, use, passage.headers)

        await self._silence.watch(heard, exchange)

    async def _relay(
        self,
        response: httpx.Response,
        headers: list[tuple[bytes, bytes]],
        reply: Reply,
        heard: Heard,
    ) -> None:
        """Pass the answer on as it comes. None of it is what a model generates, so a key is taken
        out of all of it; for that it must be plain.
        """
        decode = decoder("")
        if self.secret.longest and "content-encoding" in response.headers:
            decode = decoder(response.headers["content-encoding"])
            headers = [item for item in headers if item[0].lower() not in OF_THE_BODY]
        sized = any(name.lower() == b"content-length" for name, _ in headers)
        clean = ScrubbedStream(self.secret, keep_length=sized)
        await reply.begin(response.status_code, headers)
        chunks = response.aiter_raw()
        try:
            async for data in chunks:
                heard.note()
                for piece in decode(data):
                    await reply.piece(clean.feed(piece))
        except (Exception, trio.Cancelled):
            await unwind(chunks)
            raise
        await reply.piece(clean.rest())

    async def probe(self) -> None:
        """Ask for something small, and return if there is any answer below 500; BackendDown
        otherwise.
        """
        seconds = min(PROBE_TIMEOUT, self._connect_timeout)
        status = 0

        async def use(response: httpx.Response) -> None:
            nonlocal status
            status = response.status_code
            await head(response)

        with trio.move_on_after(seconds) as scope:
            try:
                await self._send("GET", self._probed, b"", use)
            except (httpx.HTTPError, *_NO_ADDRESS) as error:
                raise self._nobody(error) from None
        if scope.cancelled_caught:
            waited = format_duration(seconds)
            raise BackendDown(f"no answer from {self.url} within {waited}. {self._hint}")
        if status >= 500:
            raise BackendDown(f"{self.url} answers {status}", status=status)

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        client, self._client = self._client, None
        trial, self._keeping = self._keeping.trial, Keeping()
        for each in (client, None if trial is None else trial.client):
            if each is not None:
                await each.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterable[bytes],
        use: Use,
        headers: Up = (),
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """Send a request and use the answer; without a `client`, by the one that all share.

        It is sent again only if no byte of it could be written, for then the server cannot have
        taken it, and only once: whatever else goes wrong is the end of this attempt, since the
        request may be the cause. A body that comes in parts gets a connection of its own.
        """
        where = within(self.url, path)
        if come := way.get():
            headers = [*headers, (HEADER, come)]
        # As bytes: httpx takes text for ASCII only, and a caller's headers may be Latin-1.
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if not isinstance(body, bytes):
            async with (
                self._new_client() as alone,
                alone.stream(method, where, content=body, headers=raw) as response,
            ):
                await use(response)
            return
        for last in (False, True):
            sent = Sent()
            try:
                async with (client or self._opened()).stream(
                    method, where, content=body, headers=raw, extensions={"trace": sent.note}
                ) as response:
                    sent.answered = True
                    await use(response)
                    return
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if not (sent.fresh or sent.answered):
                    self._keeping.lost()
                if last or sent.answered or not sent.refused:
                    raise

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> httpx.AsyncClient:
        return open_client(self.url, self._key, self._connect_timeout)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """httpx's errors as ours."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, *_NO_ADDRESS) as error:
            raise self._nobody(error) from None
        except httpx.HTTPError as error:
            lost = f"the connection to {self.url} was lost: {_words(error)}"
            raise BackendFailure(lost) from None

    async def _pour(
        self, response: httpx.Response, feed: Feed, heard: Heard, ending: trio.CancelScope
    ) -> None:
        """Feed the body. Once that is whole, `ending` ends the wait for the end of the response."""
        progress = Progress()
        decode = decoder(response.headers.get("content-encoding", ""))
        chunks = response.aiter_raw()
        try:
            async for data in chunks:
                if progress.whole:  # what comes behind the end passes too, while there is room
                    with suppress(BackendFailure):
                        await self._feed(decode(data), feed, progress)
                    continue
                heard.note()
                progress.receive(data, self.max_answer)
                await self._feed(decode(data), feed, progress)
                if progress.whole:
                    ending.deadline = trio.current_time() + GRACE
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            await unwind(chunks)
            if not progress.whole:  # else only the end of the response is missing
                raise
        except (Exception, trio.Cancelled):
            await unwind(chunks)
            raise

    async def _feed(self, pieces: Iterator[bytes], feed: Feed, progress: Progress) -> None:
        for piece in pieces:
            # A few bytes may be many pieces, and work for long: others get their turn.
            await trio.lowlevel.checkpoint()
            progress.take(piece, self.max_answer)
            progress.whole = feed(piece) or progress.whole

    def _nobody(self, error: Exception) -> BackendDown:
        self.generation += 1
        return BackendDown(f"cannot reach {self.url}: {_words(error)}. {self._hint}")


def _words(error: Exception) -> str:
    """What an error of httpx says; some say nothing but their name."""
    return str(error) or type(error).__name__
