"""Runs a call as a task: stores it first, and then sends the backend's bytes to the caller."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf

import trio
from msgspec.structs import replace
from werkzeug.exceptions import GatewayTimeout

from oq.dialects import Endpoint
from oq.http.context import Context
from oq.http.gateway.background import Background
from oq.http.gateway.errors import send_failure
from oq.http.gateway.exchange import Exchange, exchange
from oq.http.gateway.request import CallRequest, Defaults, check_way, read_request
from oq.http.gateway.response import GatewayResponse, place_headers
from oq.http.peer import Peer, RawHeaders
from oq.http.request import Request
from oq.queue import Accepted, CallReader, Ended, Queue, WaitingCaller
from oq.words.clock import Clock
from oq.words.durations import parse_duration
from oq.words.errors import Unavailable
from oq.words.head import Head
from oq.words.task import Status, Waiting

STORE_TIMEOUT = 30.0
"""Seconds in which a call must be on disk."""
CLOSE_GRACE = 0.2
"""Seconds to send a response that is ready when the server closes."""
OVERTIME = 1.0
"""Seconds beyond X-OQ-Timeout in which a running attempt, which that has ended, says so itself."""
PROGRESS_INTERVAL = 1.0
"""Seconds between two checks of the queue position, for a caller that asked for it."""
PROGRESS_REPEAT = 15.0
"""Seconds after which an unchanged position is sent again, so that proxies stay connected."""


class CallHandler:
    """Answers the drop-in calls through the queue."""

    def __init__(self, context: Context, queue: Queue, clock: Clock) -> None:
        self._context = context
        self._queue = queue
        self._clock = clock
        self._limit = queue.config.queue.max_payload
        self._grace = queue.config.gateway.reconnect_grace
        self._background = Background(context, queue)
        passes = any(each.pass_authorization for each in queue.config.backend_list())
        self.defaults = Defaults(queue.config.gateway, pass_authorization=passes)

    async def serve(self, call: Endpoint, request: Request, peer: Peer) -> None:
        """Answer one call, unless its caller leaves before."""
        handle = partial(self._serve, call)
        await exchange(handle, self._context, call.dialect, request, peer, self._limit)

    async def _serve(self, call: Endpoint, one: Exchange) -> None:
        wanted, accepted = await self._take_in(call, one)
        one.watch_caller()
        if wanted.new.kept is None:
            await self._answer(wanted, accepted, one)
        else:
            await self._background.begin(wanted, accepted, one.out)

    async def _take_in(self, call: Endpoint, one: Exchange) -> tuple[CallRequest, Accepted]:
        """Read the call and store it. After that its body is on disk, and no longer in memory."""
        request, body = one.request, one.body
        way = check_way(request, self._queue.calls.mark)
        whole = await body.read()
        wanted = await read_request(
            call, request, whole, self.defaults, way, most=self._limit, held=body.held.add
        )
        wanted = await self._background.prepare(wanted)
        accepted = await self._accept(wanted, one)
        body.held.free()
        return wanted._replace(new=replace(wanted.new, body=b""), document=b""), accepted

    async def _answer(self, wanted: CallRequest, accepted: Accepted, one: Exchange) -> None:
        task_id, calls = accepted.task_id, self._queue.calls
        grace = 0.0 if wanted.key is None else self._grace
        detach = wanted.new.detached
        if not accepted.created and not detach:
            detach = await calls.is_detached(task_id)
        with calls.attend(task_id, detach=detach, grace=grace) as caller:
            headers = place_headers(calls, task_id)
            with calls.read_call(task_id) as reader:
                reply = _Reply(wanted, task_id, one.out, headers, reader, _late_at(wanted))
                await self._relay_until_close(reply, caller, one)

    async def _accept(self, wanted: CallRequest, one: Exchange) -> Accepted:
        # Half of it cannot be taken back: a caller who leaves meanwhile is noticed after it.
        scope = one.scope
        scope.shield, scope.deadline = True, trio.current_time() + STORE_TIMEOUT
        try:
            return await self._queue.calls.accept(wanted.new, wanted.key)
        except trio.Cancelled:
            one.told = Unavailable(f"not on disk after {STORE_TIMEOUT:g} s; try again later")
            raise
        finally:
            scope.shield, scope.deadline = False, inf

    async def _relay_until_close(self, reply: _Reply, caller: WaitingCaller, one: Exchange) -> None:
        """When the server closes the task is kept, and who waits for it is told so."""
        scope = one.scope

        def close() -> None:
            scope.deadline = trio.current_time() + CLOSE_GRACE

        try:
            with self._context.until_close(close):
                await self._relay(reply)
        except Unavailable as error:
            caller.served = True
            raise _kept(reply, str(error)) from None
        except trio.Cancelled:
            if scope.deadline <= trio.current_time():  # or else the caller has left
                caller.served = True
                one.told = _kept(reply, "oq is shutting down")
            raise
        caller.served = True

    async def _relay(self, reply: _Reply) -> None:
        """Pass on the answer: its bytes as they come, or the result if it came in one piece."""
        out = reply.out
        while not isinstance(received := await self._next(reply), Ended):
            if out.begun:
                await out.piece(received)
            else:
                await reply.begin(reply.reader.head, received)
        if received.state.status is not Status.COMPLETED:
            await send_failure(out, reply.wanted.new.call.dialect, received, reply.headers)
        elif out.begun:
            await out.end()
        else:
            await reply.whole(received)

    async def _next(self, reply: _Reply) -> bytes | Ended:
        """The next bytes, or the end. GatewayTimeout if there are none in time: then the task is
        still in line.
        """
        out = reply.out
        if reply.answered or (reply.late_at == inf and not reply.wanted.progress):
            at_once = out.piece_nowait if out.in_frames else None
            return await reply.reader.receive(at_once)
        with trio.move_on_at(reply.late_at):
            received = await self._first(reply)
            reply.answered = True
            return received
        raise GatewayTimeout(f"no answer within {reply.wanted.new.timeout} (X-OQ-Timeout)")

    async def _first(self, reply: _Reply) -> bytes | Ended:
        """The first bytes, or the end. Meanwhile a caller that wants it gets its queue position."""
        shown: tuple[int, float] | None = None
        while reply.wanted.progress:
            waiting, now = self._queue.calls.waiting(reply.task_id), trio.current_time()
            place = waiting.queue_position
            if shown is None or shown[0] != place or now - shown[1] >= PROGRESS_REPEAT:
                shown = (place, now)
                await self._tell_place(reply, waiting)
            with trio.move_on_after(PROGRESS_INTERVAL):
                return await reply.reader.receive()
        return await reply.reader.receive()

    async def _tell_place(self, reply: _Reply, waiting: Waiting) -> None:
        new = reply.wanted.new
        now = self._clock.now()
        frame = new.call.dialect.progress(new.call, new.model, reply.task_id, waiting, now)
        if reply.out.begun:
            await reply.out.piece(frame)
        else:
            await reply.begin(None, frame)
        reply.out.first = b""  # of the answer itself nothing has been told


def _kept(reply: _Reply, why: str) -> Unavailable:
    return Unavailable(f"{why}; task {reply.task_id} is kept, and runs when it is back")


def _late_at(wanted: CallRequest) -> float:
    if not wanted.new.impatient or wanted.new.detached:
        return inf
    return trio.current_time() + parse_duration(wanted.new.timeout) + OVERTIME


@dataclass(slots=True)
class _Reply:
    """One caller's answer as it is made. The caller waits for its beginning until `late_at`, in
    trio's time. `answered`: the backend has begun to speak.
    """

    wanted: CallRequest
    task_id: str
    out: GatewayResponse
    headers: RawHeaders
    reader: CallReader
    late_at: float
    answered: bool = False

    async def begin(self, head: Head | None, piece: bytes) -> None:
        """The first piece of an answer, and before it the head: the backend's, or if that has not
        said anything yet, that of a stream.
        """
        head = head or Head()
        headers = [*self._kind(head, streams=self.wanted.streams), *head.headers, *self.headers]
        await self.out.begin(
            head.status, headers, head.reason, piece, frames=self._has_frames(head)
        )

    async def whole(self, ended: Ended) -> None:
        """The answer that came in one piece."""
        head = ended.head or Head()
        headers = [*self._kind(head, streams=False), *head.headers, *self.headers]
        await self.out.whole(head.status, headers, ended.result or b"", head.reason)

    def _has_frames(self, head: Head) -> bool:
        """Whether an answer that comes in pieces is a stream of frames, whatever its backend calls
        it. Of a call that may be answered with sound or text only some are.
        """
        call = self.wanted.new.call
        return not call.any_type or head.content_type in (b"", call.dialect.stream_type)

    def _kind(self, head: Head, *, streams: bool) -> list[tuple[bytes, bytes]]:
        """The content type of an answer whose backend has not said any."""
        dialect = self.wanted.new.call.dialect
        kind = dialect.stream_type if streams else dialect.json_type
        return [] if head.content_type else [(b"content-type", kind)]
