"""A call at a backend that speaks its dialect: the caller's bytes go up, the backend's come down.

Each frame of the answer is looked at (`oq.dialects`), for the result that is kept, for errors, and
for callers that did not want a stream; then it is passed on as it came.
"""

from __future__ import annotations

from oq.backends.base import Backend, Request
from oq.backends.transport import Transport
from oq.dialects import ENDPOINTS, Endpoint
from oq.dialects.base import Emit
from oq.words.errors import BackendRejected
from oq.words.outcome import Completed


async def run_call(transport: Transport, path: str, request: Request, emit: Emit) -> Completed:
    """Make the call of this task where the backend has it, at `path`.

    The errors are those of `oq.backends.base.Backend.run`.
    """
    call = call_of(request)
    if call.streams is None:
        return call.dialect.whole(call, await transport.fetch(path, request.payload))
    answer = call.dialect.streamed(call, emit, transport.max_answer)
    await transport.stream(path, call.dialect.upstream(call, request.payload), answer.feed)
    return answer.completed()


def call_of(request: Request) -> Endpoint:
    """The call that a task is. BackendRejected if this oq does not know it any more."""
    call = ENDPOINTS.get(request.call or "")
    if call is None:
        raise BackendRejected(f"{request.call}: this version of oq does not know this call")
    return call


def not_spoken(backend: Backend, call: Endpoint) -> BackendRejected:
    """What is said of a call that the backend does not speak, nor anybody translates."""
    text = (
        f"backend {backend.name!r} (of kind {backend.kind}) has no {call.path}: it does not speak"
        f" the API of {call.dialect.title}"
    )
    return BackendRejected(text, status=404, body=call.dialect.error(404, text))
