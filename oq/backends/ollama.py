"""Ollama, over its own API: https://github.com/ollama/ollama/blob/main/docs/api.md

Tasks always stream upstream: their readers see them grow. What a task says passes through byte for
byte, known to oq or not. Calls go upstream as their callers made them.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from oq.backends.address import OLLAMA_PORT
from oq.backends.base import Passage, Reply, Request
from oq.backends.models import ollama_digests, ollama_models
from oq.backends.server import ServerBackend
from oq.backends.verbatim import call_of, not_spoken
from oq.dialects import DIALECTS
from oq.dialects.base import Emit
from oq.dialects.ollama_fold import FoldedLines, chunks_only, embedded
from oq.words.config import BackendKind
from oq.words.outcome import Completed
from oq.words.task import TaskType
from oq.words.views import BackendFacts, Models

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_NOT_SAID = (b"null", b'""')
_OURS = frozenset({"model", "options", "stream"})


class OllamaBackend(ServerBackend):
    """One Ollama server at `url` (any form that OLLAMA_HOST takes). Timeouts are in seconds.

    InvalidConfig if the url or the key cannot be one.
    """

    kind: BackendKind = "ollama"
    speaks = DIALECTS
    default_port = OLLAMA_PORT
    below = ""
    hint = "Is Ollama running? Start it with `ollama serve`"
    probed = "/api/version"
    measures = True

    async def _run(self, request: Request, emit: Emit) -> Completed:
        if request.call is not None:
            call = call_of(request)
            if call.dialect not in self.speaks:
                raise not_spoken(self, call)
            return await self._calls.run(request, emit)
        path, body = f"/api/{request.type}", ollama_body(request)
        if request.type is TaskType.EMBED:
            return embedded(await self._transport.fetch(path, body))
        answer = FoldedLines(request.type, chunks_only(emit), self._transport.max_answer)
        await self._transport.stream(path, body, answer.feed)
        return answer.completed()

    async def pass_on(self, passage: Passage, reply: Reply) -> None:
        """See `oq.backends.base.Backend.pass_on`."""
        with self._transport.secret.kept_from_errors():
            await self._transport.pass_on(passage, passage.target, reply)

    async def models(self) -> Models:
        """What is on its disk, and what is in its memory."""
        with self._transport.secret.kept_from_errors():
            installed = ollama_models(await self._transport.get("/api/tags"))
            return Models(installed, ollama_models(await self._transport.get("/api/ps")))

    async def facts(self, *, full: bool = True) -> BackendFacts:
        """What is in its memory. With `full`, also which models it has, and the digests of all
        names: those of copies are the same.
        """
        with self._transport.secret.kept_from_errors():
            loaded = ollama_digests(await self._transport.get("/api/ps"))
            known = ollama_digests(await self._transport.get("/api/tags")) if full else {}
        digests = {name: digest for name, digest in {**known, **loaded}.items() if digest}
        models = tuple(known) if full else None
        return BackendFacts(loaded=tuple(loaded), digests=digests, models=models)


def ollama_body(request: Request) -> bytes:
    """The body of the call that runs this task."""
    fields = _OBJECT.decode(request.payload)
    if request.type is TaskType.CHAT:
        _move_system(fields)
    body: dict[str, object] = {"model": request.model}
    body |= {key: value for key, value in fields.items() if key not in _OURS}
    if request.options.translate(None, b" \t\r\n") != b"{}":
        body["options"] = Raw(request.options)
    if request.type is not TaskType.EMBED:
        body["stream"] = True
    return msgspec.json.encode(body)


def _move_system(fields: dict[str, Raw]) -> None:
    """oq's `system` of a chat becomes its first message.

    Not if there are no messages: that is the call which only loads the model.
    """
    system = fields.pop("system", None)
    messages = _LIST.decode(fields["messages"])
    if system is None or bytes(system) in _NOT_SAID or not messages:
        return
    first = Raw(msgspec.json.encode({"role": "system", "content": system}))
    fields["messages"] = Raw(msgspec.json.encode([first, *messages]))
