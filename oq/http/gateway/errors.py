"""Sends errors in the form of the API that was called."""

from __future__ import annotations

import structlog

from oq.dialects import Dialect
from oq.dialects.answer_errors import error_text
from oq.dialects.base import Told
from oq.http import errors
from oq.http.gateway.locations import leads_to_call
from oq.http.gateway.response import TYPE, GatewayResponse
from oq.http.peer import Peer, RawHeaders, unread_body_headers
from oq.http.request import Request
from oq.http.request_body import BodyReader
from oq.queue import Ended
from oq.rules.headers import LOCATION
from oq.words.errors import QueueFull
from oq.words.outcome import Refusal
from oq.words.task import Status, TaskState

log = structlog.get_logger()

TEXT = b"text/plain; charset=utf-8"


class ErrorResponder:
    """Answers one request with an error of oq's own."""

    def __init__(
        self, request: Request, body: BodyReader, out: GatewayResponse, dialect: Dialect
    ) -> None:
        self._request = request
        self._body = body
        self._out = out
        self._dialect = dialect

    async def refuse(self, error: Exception, peer: Peer) -> None:
        """Send the error. Its form depends on how much of the response has been sent."""
        if not self._body.whole:
            peer.discard()
        await self._say(error)

    async def _say(self, error: Exception) -> None:
        out, dialect = self._out, self._dialect
        where = f"{self._request.method} {self._request.path[:100]}"
        if out.begun and not out.in_frames:
            # Nothing can be said any more: the connection ends where the answer did.
            log.warning("an answer that was passed on broke off", request=where, error=str(error))
            return
        status, text, more = errors.explain(error, where)
        if isinstance(error, QueueFull):
            status, text = dialect.when_full(status, text)
        if out.begun:
            await _break_off(out, dialect, dialect.error_frame(text, out.told))
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in more.items()]
        if status in (409, 504):
            headers += dialect.no_retry
        if not self._body.whole:
            headers += unread_body_headers(self._request)
        await out.whole(status, [(TYPE, dialect.json_type), *headers], dialect.error(status, text))


async def send_failure(
    out: GatewayResponse, dialect: Dialect, ended: Ended, headers: RawHeaders
) -> None:
    """Say why a task has no result: in the backend's own words, if there are any."""
    if out.begun and not out.in_frames:  # see `ErrorResponder`
        log.warning("an answer broke off", task_id=ended.state.id, error=_reason(ended))
        return
    if out.begun:
        await _break_off(out, dialect, _frame(dialect, ended, out.told))
        return
    status, body = _body(dialect, ended)
    head = None if ended.refusal is None else ended.refusal.head
    if head is not None and head.status == status:
        own = {name for name, _ in head.headers}
        more = [item for item in dialect.no_retry if item[0] not in own]
        await out.whole(status, [*head.headers, *headers, *more], body, head.reason)
        return
    kind = dialect.json_type if body[:1] in (b"{", b"[") else TEXT
    await out.whole(status, [(TYPE, kind), *headers, *dialect.no_retry], body)


async def _break_off(out: GatewayResponse, dialect: Dialect, frame: bytes) -> None:
    # What a backend left half said must not make this unreadable as well.
    await out.piece(dialect.separator(out.told.last[-3:]) + frame + dialect.separator(frame))
    await out.end()


def _frame(dialect: Dialect, ended: Ended, told: Told) -> bytes:
    refusal = ended.refusal
    if refusal is None:
        return dialect.error_frame(_reason(ended), told)
    if refusal.frame is not None:
        return refusal.frame
    if refusal.status is None:
        return refusal.body
    return dialect.error_frame(error_text(refusal.body), told)


def _body(dialect: Dialect, ended: Ended) -> tuple[int, bytes]:
    refusal = ended.refusal
    if refusal is not None and _leads_astray(refusal):  # where to is not the caller's to know
        refusal = None
    if refusal is not None and refusal.status is not None:
        return refusal.status, refusal.body
    if refusal is not None:  # it broke off, but nobody has seen it begin
        text = error_text(dialect.document(refusal.body) or refusal.body)
        return 500, dialect.error(500, text)
    state = ended.state
    status = 409 if state.status is Status.CANCELLED else 504 if _too_late(state) else 502
    return status, dialect.error(status, _reason(ended))


def _leads_astray(refusal: Refusal) -> bool:
    """Whether it is a redirect to where a backend may not send a caller."""
    location = b"" if refusal.head is None else refusal.head.header(LOCATION)
    return bool(location) and 300 <= (refusal.status or 0) < 400 and not leads_to_call(location)


def _too_late(state: TaskState) -> bool:
    """Whether the time of its caller was over, be it before the attempt began."""
    deadline, end = state.deadline, state.completed_at
    return deadline is not None and end is not None and end >= deadline


def _reason(ended: Ended) -> str:
    state = ended.state
    if state.status is Status.CANCELLED:
        return f"task {state.id} was cancelled"
    return state.error or "no reason was given"
