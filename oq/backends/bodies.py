"""The body of an answer, as far as it is wanted."""

from __future__ import annotations

from oq.backends.encoding import Decoder, decoder
from oq.backends.http1.exchange import Answer
from oq.words.errors import BackendFailure

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error that are read."""


async def head(answer: Answer, most: int = MAX_ERROR_BODY) -> bytes:
    """The first `most` bytes of a body, as they were sent."""
    head = bytearray()
    while len(head) < most and (data := await answer.receive()):
        head += data
    return bytes(head[:most])


def plain(answer: Answer, body: bytes, most: int) -> bytes:
    """The first `most` bytes of the text of an error's body, as far as it can be read."""
    text = b""
    try:
        for piece in encoding(answer)(body):
            text += piece
            if len(text) >= most:
                break
    except BackendFailure:
        return body
    return text[:most]


def encoding(answer: Answer) -> Decoder:
    """What gives the text of a body: see `oq.backends.encoding`."""
    return decoder(answer.field(b"content-encoding").decode("latin-1"))
