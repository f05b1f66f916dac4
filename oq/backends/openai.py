"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, OpenAI itself.

Tasks are in Ollama's form, and so are the answers; `translate` and `openai_stream` say how.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from oq.backends.address import base_url
from oq.backends.base import Passage, Reply, Request
from oq.backends.models import openai_models
from oq.backends.ollama_calls import Translated, run_ollama_call
from oq.backends.ollama_pages import Pages, answer_page
from oq.backends.openai_stream import Translator, ollama_embeddings
from oq.backends.translate import openai_call
from oq.backends.transport import Timeouts, Transport
from oq.backends.verbatim import call_of, not_spoken, run_call
from oq.dialects import Dialect, dialect_at
from oq.dialects.answer_limit import ITEM_COST, MAX_ANSWER, AnswerLimit
from oq.dialects.anthropic import ANTHROPIC
from oq.dialects.base import Emit
from oq.dialects.events import Event, Events
from oq.dialects.ollama import OLLAMA
from oq.dialects.ollama_fold import Fold, embedded
from oq.dialects.openai import OPENAI
from oq.dialects.openai_fold import DONE
from oq.dialects.responses import RESPONSES
from oq.words.clock import Clock
from oq.words.config import BackendKind
from oq.words.outcome import Completed
from oq.words.task import TaskType
from oq.words.views import Models

DEFAULT_PORT = 80
_TRANSLATED: dict[Dialect, Translated] = {OLLAMA: run_ollama_call}
"""Runs the calls of dialects that such a server does not speak."""
_PAGES: dict[Dialect | None, Pages] = {OLLAMA: answer_page}
"""Answers the other requests of these dialects."""


class OpenAIBackend:
    """The server at `url`, with its ``/v1`` or without. Timeouts are in seconds.

    InvalidConfig if the url or the key cannot be one.
    """

    kind: BackendKind = "openai"
    speaks = (OPENAI, RESPONSES, ANTHROPIC)

    def __init__(
        self,
        name: str,
        url: str,
        api_key: str | None = None,
        connect_timeout: float = 5,
        first_token_timeout: float = 300,
        idle_timeout: float = 120,
        *,
        max_answer: int = MAX_ANSWER,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.url = base_url(url, default_port=DEFAULT_PORT)
        if not self.url.endswith("/v1"):
            self.url += "/v1"
        self._clock = clock or Clock()
        self._transport = Transport(
            self.url,
            api_key=api_key,
            timeouts=Timeouts(connect_timeout, first_token_timeout, idle_timeout),
            hint=f"Is the server running, and is the url of backend {name!r} right?",
            clock=self._clock,
            max_answer=max_answer,
        )

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Run the task; the errors are those of `oq.backends.base.Backend.run`."""
        with self._transport.secret.kept_from_errors():
            return await self._run(request, emit)

    async def _run(self, request: Request, emit: Emit) -> Completed:
        if request.call is not None:
            return await self._call(request, emit)
        path, body = openai_call(request)
        started = trio.current_time()
        if request.type is TaskType.EMBED:
            answer = await self._transport.fetch(path, body)
            seconds = trio.current_time() - started
            self._check_items(answer)
            return embedded(ollama_embeddings(answer, request.model, seconds))
        now = self._clock.now()
        limit = self._transport.max_answer
        translator = Translator(request.type, request.model, now, started, limit)
        stream = _Answer(Fold(request.type, limit), Events(AnswerLimit(limit)), translator, emit)
        await self._transport.stream(path, body, stream.feed)
        return stream.completed()

    async def _call(self, request: Request, emit: Emit) -> Completed:
        call = call_of(request)
        if call.dialect in self.speaks:
            path = call.path.removeprefix("/v1")
            return await run_call(self._transport, path, request, emit)
        translated = _TRANSLATED.get(call.dialect)
        if translated is None:
            raise not_spoken(self, call)
        return await translated(request, emit, self._run, self._clock.now())

    def _check_items(self, answer: bytes) -> None:
        """BackendFailure if its items take too much memory once they are apart."""
        items = answer.count(b"{")
        AnswerLimit(self._transport.max_answer).spend(len(answer) + ITEM_COST * items)

    async def pass_on(self, passage: Passage, reply: Reply) -> None:
        """See `oq.backends.base.Backend.pass_on`. Ollama's list of models is made from the list
        of this server.
        """
        pages = _PAGES.get(dialect_at(passage.path))
        with self._transport.secret.kept_from_errors():
            if pages is None:
                await self._transport.pass_on(passage, passage.target.removeprefix("/v1"), reply)
            else:
                await pages(passage, self._models, self._clock.now(), reply)

    async def _models(self) -> bytes:
        return await self._transport.get("/models")

    async def probe(self) -> None:
        """Return if the server answers; BackendDown if it does not."""
        with self._transport.secret.kept_from_errors():
            await self._transport.probe("/models")

    async def models(self) -> Models:
        """What it serves; the API has no word for what is in memory."""
        with self._transport.secret.kept_from_errors():
            return Models(openai_models(await self._transport.get("/models")))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class _Answer:
    """SSE as it comes in: each event is translated, folded, and passed on."""

    def __init__(self, fold: Fold, events: Events, translator: Translator, emit: Emit) -> None:
        self._events = events
        self._translator = translator
        self._fold = fold
        self._emit = emit

    def feed(self, data: bytes) -> bool:
        self._take(self._events.feed(data))
        return self._fold.done

    def completed(self) -> Completed:
        if not self._fold.done:
            self._take(self._events.rest())
        if not self._fold.done:
            self._pass_on(self._translator.ending(trio.current_time(), marked=False))
        return self._fold.completed()

    def _take(self, events: Iterator[Event]) -> None:
        for event in events:
            now = trio.current_time()
            if event.data == DONE:
                self._pass_on(self._translator.ending(now, marked=True))
                return
            if event.data:
                self._pass_on(self._translator.chunks(event.data, now))

    def _pass_on(self, chunks: list[bytes]) -> None:
        for chunk in chunks:
            self._fold.add(chunk)
            self._emit(chunk)
