"""What an answer of a backend says before its body: its head, and that it is an error."""

from __future__ import annotations

import httpx

from oq.backends.encoding import decoder_of
from oq.backends.failures import status_error
from oq.backends.http1.exchange import Answer
from oq.backends.locations import as_asked
from oq.backends.secrets import Secret
from oq.rules.headers import LOCATION, Headers, down
from oq.words.clock import Clock
from oq.words.errors import BackendFailure
from oq.words.head import Head

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error that are read."""
MAX_REASON = 200
"""Bytes of a reason phrase that are passed on."""
_OF_THE_CONNECTION = frozenset(
    {b"connection", b"date", b"keep-alive", b"proxy-authenticate", b"server", b"te", b"trailer",
     b"transfer-encoding", b"upgrade"}
)  # fmt: skip
"""Headers that are not the answer's but its connection's: RFC 9110, 7.6.1."""

OF_THE_BODY = frozenset({b"content-encoding", b"content-length"})
"""Headers that are about the bytes of the body as they were sent."""


class Replies:
    """Reads the answers of one backend at `url`. `secret` is its key. Neither that is in anything
    that is read, nor the key that the request had.
    """

    def __init__(self, url: str, secret: Secret, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock

    def head(self, answer: Answer) -> Head:
        """The head of an answer, as the caller of a call gets it."""
        secret = self._secret_of(answer)
        reason = secret.scrub(answer.reason)[:MAX_REASON]
        passed = down(secret.scrub_headers(self._placed(answer)))
        packed = bool(answer.field(b"content-encoding"))
        headers = tuple(item for item in passed if not packed or item[0] not in OF_THE_BODY)
        return Head(answer.status, reason, headers)

    def headers(self, answer: Answer) -> Headers:
        """Those of an answer that is passed on; what its connection says is left out."""
        said = self._secret.scrub_headers(self._placed(answer))
        return [item for item in said if item[0].lower() not in _OF_THE_CONNECTION]

    def _placed(self, answer: Answer) -> Headers:
        """All of them; a Location at the backend is the path by which oq has it."""
        raw = answer.fields
        has = any(name.lower() == LOCATION for name, _ in raw)  # few have one
        return as_asked(raw, httpx.URL(self._url)) if has else raw

    async def check(self, answer: Answer) -> None:
        """BackendFailure or BackendRejected if it is an error."""
        if 200 <= answer.status < 300:
            return
        body = await self.error_body(answer)
        retry_after = answer.field(b"retry-after").decode("latin-1")
        now = self._clock.now()
        error = status_error(answer.status, body, retry_after=retry_after or None, now=now)
        error.head = self.head(answer)
        if 300 <= answer.status < 400 and error.head.header(b"location"):
            error.body = body  # to another path of oq's, too
        raise error

    async def error_body(self, answer: Answer) -> bytes:
        """The beginning of what an error says; some servers repeat a key that they refuse."""
        secret = self._secret_of(answer)
        most = MAX_ERROR_BODY + secret.longest  # a key is not cut in two
        body = _plain(answer, await beginning(answer, most), most)
        return secret.scrub(body)[:MAX_ERROR_BODY]

    def _secret_of(self, answer: Answer) -> Secret:
        """What the answer must not show: what was sent may be the key of a caller."""
        return self._secret.with_those_in(answer.sent)


async def beginning(answer: Answer, most: int = MAX_ERROR_BODY) -> bytes:
    """The first `most` bytes of a body, as they were sent."""
    begun = bytearray()
    while len(begun) < most and (data := await answer.receive()):
        begun += data
    return bytes(begun[:most])


def _plain(answer: Answer, body: bytes, most: int) -> bytes:
    """The first `most` bytes of the text of an error's body, as far as it can be read."""
    text = b""
    try:
        for piece in decoder_of(answer)(body):
            text += piece
            if len(text) >= most:
                break
    except BackendFailure:
        return body
    return text[:most]
