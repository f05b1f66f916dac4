"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, OpenAI itself.

Tasks are in Ollama's form, and so are the answers; `openai_tasks` says how.
"""

from __future__ import annotations

from oq.backends.address import base_url
from oq.backends.base import Passage, Reply, Request
from oq.backends.models import openai_models
from oq.backends.ollama_calls import Translated, run_ollama_call
from oq.backends.ollama_pages import Pages, answer_page
from oq.backends.openai_tasks import OpenAITasks
from oq.backends.served_calls import ServedCalls
from oq.backends.transport import Timeouts, Transport
from oq.backends.verbatim import call_of, not_spoken
from oq.dialects import Dialect, dialect_at
from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.anthropic import ANTHROPIC
from oq.dialects.base import Emit
from oq.dialects.ollama import OLLAMA
from oq.dialects.openai import OPENAI
from oq.dialects.responses import RESPONSES
from oq.words.clock import Clock
from oq.words.config import BackendKind
from oq.words.outcome import Completed
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
        pass_authorization: bool = False,
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
            pass_authorization=pass_authorization,
        )
        self._calls = ServedCalls(self._transport, self.speaks, self._clock, below="/v1")
        self._tasks = OpenAITasks(self._transport, self._clock)

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Run the task; the errors are those of `oq.backends.base.Backend.run`."""
        with self._transport.secret.kept_from_errors():
            return await self._run(request, emit)

    async def _run(self, request: Request, emit: Emit) -> Completed:
        if request.call is not None:
            return await self._call(request, emit)
        return await self._tasks.run(request, emit)

    async def _call(self, request: Request, emit: Emit) -> Completed:
        call = call_of(request)
        if call.dialect in self.speaks:
            return await self._calls.run(request, emit)
        translated = _TRANSLATED.get(call.dialect)
        if translated is None:
            raise not_spoken(self, call)
        return await translated(request, emit, self._run, self._clock.now())

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
