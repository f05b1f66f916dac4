"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, OpenAI itself.

Tasks are in Ollama's form, and so are the answers; `openai_tasks` says how.
"""

from __future__ import annotations

from functools import cached_property

from msgspec.structs import replace

from oq.backends.base import Passage, Reply, Request
from oq.backends.models import openai_models
from oq.backends.ollama_calls import Translated, run_ollama_call
from oq.backends.ollama_pages import Pages, answer_page
from oq.backends.openai_tasks import OpenAITasks
from oq.backends.server import ServerBackend
from oq.backends.server_facts import ServerFacts
from oq.backends.verbatim import call_of, not_spoken
from oq.dialects import OPEN_DIALECTS, Dialect, dialect_at
from oq.dialects.base import Emit
from oq.dialects.ollama import OLLAMA
from oq.words.config import BackendKind
from oq.words.errors import BackendBusy, BackendFailure, BackendRejected
from oq.words.outcome import Completed
from oq.words.views import BackendFacts, Models

_TRANSLATED: dict[Dialect, Translated] = {OLLAMA: run_ollama_call}
"""Runs the calls of dialects that such a server does not speak."""
_PAGES: dict[Dialect | None, Pages] = {OLLAMA: answer_page}
"""Answers the other requests of these dialects."""


class OpenAIBackend(ServerBackend):
    """The server at `url`, with its ``/v1`` or without. Paths that are not below ``/v1``, such as
    /rerank, are beside it. Timeouts are in seconds.

    InvalidConfig if the url or the key cannot be one.
    """

    kind: BackendKind = "openai"
    speaks = OPEN_DIALECTS
    default_port = 80
    below = "/v1"
    hint = "Is the server running, and is the url of backend {name} right?"
    probed = "/v1/models"

    @cached_property
    def _facts(self) -> ServerFacts:
        return ServerFacts(self._transport)

    @cached_property
    def _tasks(self) -> OpenAITasks:
        return OpenAITasks(self._transport, self._clock)

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
                await self._transport.pass_on(passage, passage.target, reply)
            else:
                await pages(passage, self._models, self._clock.now(), reply)

    async def _models(self) -> bytes:
        return await self._transport.get("/v1/models")

    async def models(self) -> Models:
        """What it serves; the API has no word for what is in memory."""
        with self._transport.secret.kept_from_errors():
            return Models(openai_models(await self._transport.get("/v1/models")))

    async def facts(self, *, full: bool = True) -> BackendFacts:
        """What llama.cpp, its router and llama-swap say of themselves. With `full`, also which
        models a server has, if it says so.
        """
        with self._transport.secret.kept_from_errors():
            facts = await self._facts.read()
            return replace(facts, models=await self._listed(facts)) if full else facts

    async def _listed(self, facts: BackendFacts) -> tuple[str, ...] | None:
        """The names of its models; None if it does not say them. It may lack the path."""
        try:
            models = openai_models(await self._models())
        except BackendBusy:
            raise
        except (BackendRejected, BackendFailure):
            return None
        # A router says the further names of a model elsewhere.
        names = dict.fromkeys((*(model.name for model in models), *facts.digests))
        return tuple(names) or None
