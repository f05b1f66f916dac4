"""Responses in the background: POST /v1/responses with `background`.

https://platform.openai.com/docs/guides/background. Such a call is a task that goes on without its
caller. It is read later, by the id of its response; see `oq.http.gateway.kept_responses`.
"""

from __future__ import annotations

from secrets import token_hex

from msgspec.structs import replace

from oq.dialects.kept_events import KeptEvents
from oq.dialects.kept_response import RANDOM, Kept, going_on, in_foreground, task_of
from oq.http.context import Context
from oq.http.gateway.request import CallRequest
from oq.http.gateway.response import JSON, GatewayResponse, place_headers
from oq.http.gateway.response_stream import ResponseStream
from oq.queue import Accepted, NewCall, Queue
from oq.words.caller import Caller
from oq.words.errors import Conflict, InvalidTask, NotFound


class Background:
    """Makes such a call of a POST, and answers it."""

    def __init__(self, context: Context, queue: Queue) -> None:
        self._context = context
        self._queue = queue
        self._limit = queue.config.queue.max_payload

    async def prepare(self, wanted: CallRequest) -> CallRequest:
        """The call as a backend gets it. InvalidTask for what cannot be granted."""
        new = wanted.new
        if not new.call.keeps:
            return wanted
        body, wish = wanted.document, wanted.wish
        previous = wish.previous_response_id
        if not isinstance(previous, str) or task_of(previous) is None:
            previous = None
        if previous is not None:
            body = await self._going_on(body, previous, new.caller)
        if wish.background is not True:
            return wanted if previous is None else wanted._replace(new=_with_body(new, body))
        new = replace(
            _with_body(new, in_foreground(body)),
            kept=Kept(token_hex(RANDOM), previous),
            detached=True,
            impatient=False,
        )
        return wanted._replace(new=new, progress=False)

    async def _going_on(self, body: bytes, previous: str, caller: Caller) -> bytes:
        try:
            earlier = await self._queue.calls.response(previous, caller)
        except NotFound:
            raise InvalidTask(
                "previous_response_id", f"Previous response with id {previous!r} not found."
            ) from None
        body = going_on(body, earlier)
        if len(body) > self._limit:
            raise InvalidTask(
                "previous_response_id",
                f"with all that was said before, the input has {len(body)} bytes;"
                f" at most {self._limit} (queue.max_payload)",
            )
        return body

    async def begin(self, wanted: CallRequest, accepted: Accepted, out: GatewayResponse) -> None:
        """Answer the call whose response is made in the background."""
        task_id = accepted.task_id
        response = await self._queue.calls.response_of(task_id)
        if response is None:
            raise Conflict(f"the call with this Idempotency-Key, task {task_id}, has a caller")
        headers = place_headers(self._queue.calls, task_id)
        if wanted.streams:
            stream = ResponseStream(self._context, self._queue, out)
            await stream.send(KeptEvents(response), task_id, headers)
            return
        document = response.as_of("queued") if accepted.created else response.document()
        await out.whole(200, [JSON, *headers], document)


def _with_body(new: NewCall, body: bytes) -> NewCall:
    """The call with another body, which is not compressed."""
    headers = tuple(item for item in new.headers if item[0] != b"content-encoding")
    return replace(new, body=body, headers=headers, measured=False)
