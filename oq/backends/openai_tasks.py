"""A task at an OpenAI-compatible server: as a call of that API, and its answer in Ollama's form.

Some servers refuse a call that asks for a stream: with tools, or with `stream_options`, or at all.
Tasks need no stream, so such a server is asked for a whole answer. If it gives one, that is
remembered for a while.
"""

from __future__ import annotations

import re

import trio

from oq.backends.base import Request
from oq.backends.echoes import has_phrase
from oq.backends.openai_stream import TranslatedFold, ollama_embeddings
from oq.backends.refusals import STATUSES, Refusals
from oq.backends.translate import openai_call
from oq.backends.transport import Transport
from oq.dialects.answer_limit import ITEM_COST, AnswerLimit
from oq.dialects.base import Emit
from oq.dialects.events import FoldedEvents
from oq.dialects.ollama_fold import embedded
from oq.dialects.translate.chat_request import read_body
from oq.words.clock import Clock
from oq.words.errors import BackendError, InvalidTask
from oq.words.outcome import Completed
from oq.words.task import TaskType

_STREAM = re.compile(rb"stream", re.IGNORECASE)


class OpenAITasks:
    """Runs tasks that are no calls at the server behind `transport`."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._unstreamed = Refusals(trio.current_time)  # models

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Run the task; the errors are those of `oq.backends.base.Backend.run`."""
        if request.type is TaskType.EMBED:
            return await self._embed(request)
        stream = request.model not in self._unstreamed
        try:
            return await self._generate(request, emit, stream=stream)
        except BackendError as error:
            if not stream or not refuses_stream(error):
                raise
        done = await self._generate(request, emit, stream=False)
        if not _speaks_of_streams(request):  # then the error may only have repeated that
            self._unstreamed.note(request.model)
        return done

    async def _generate(self, request: Request, emit: Emit, *, stream: bool) -> Completed:
        path, body = openai_call(request, stream=stream)
        limit = self._transport.max_answer
        fold = TranslatedFold(
            request.type, request.model, self._clock.now(), trio.current_time, emit, limit
        )
        answer = FoldedEvents(fold, lambda _: None, limit)
        await self._transport.stream(f"/v1{path}", body, answer.feed)
        return answer.completed()

    async def _embed(self, request: Request) -> Completed:
        path, body = openai_call(request)
        started = trio.current_time()
        answer = await self._transport.fetch(f"/v1{path}", body)
        seconds = trio.current_time() - started
        # Its items take more memory once they are apart.
        allowance = AnswerLimit(self._transport.max_answer)
        allowance.spend(len(answer) + ITEM_COST * answer.count(b"{"))
        done = embedded(ollama_embeddings(answer, request.model, seconds))
        return Completed(done.result, done.usage)  # its durations are not the server's word


def refuses_stream(error: BackendError) -> bool:
    """Whether a call was refused because it asked for a stream: the error speaks of that."""
    said = error.body if error.body is not None else str(error).encode()
    return error.status in STATUSES and _STREAM.search(said) is not None


def _speaks_of_streams(request: Request) -> bool:
    """Whether the task has the word among its own; also if it is more than is read of one."""
    try:
        members = read_body(request.payload)
    except InvalidTask:
        return True
    return has_phrase(list(members.values()), "stream")
