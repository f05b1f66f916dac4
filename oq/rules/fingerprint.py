"""What an idempotency key stands for."""

from __future__ import annotations

import hashlib
import re

import msgspec

from oq.rules.validation import Checked
from oq.words.task import Body

_encode = msgspec.msgpack.Encoder().encode
_BOUNDARY = re.compile(rb';\s*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)


def fingerprint(checked: Checked) -> bytes:
    """A digest of all that a task asks for. Of a call that is its path, its query, its body and the
    Authorization that a backend gets: who pays for an answer also gets it. Who comes back with it
    may come another way, and a form with another boundary: clients draw one each time.

    Fingerprints are on disk: a term that is new must not change those of tasks that do not have it.
    """
    terms, body = checked.terms, checked.body
    asked: tuple[object, ...] = (body.call, _unbounded(body), *_said_beside(body))
    if body.call is None:
        asked = (
            checked.type, terms.model, terms.priority, terms.max_retries, terms.run_at,
            terms.timeout, terms.metadata, body.payload, body.options,
        )  # fmt: skip
    return hashlib.blake2b(_encode(asked), digest_size=16).digest()


def _unbounded(body: Body) -> bytes:
    """The body of a call; of a form without its boundary."""
    kind = next((value for name, value in body.headers if name == b"content-type"), b"")
    found = _BOUNDARY.search(kind) if kind[:10].lower() == b"multipart/" else None
    if found is None:
        return body.payload
    return body.payload.replace(b"--" + (found[1] or found[2]), b"--")


def _said_beside(body: Body) -> tuple[object, ...]:
    """What a call asks for outside its path and its body; nothing for most calls."""
    query = (body.target or "").partition("?")[2]
    keys = [value for name, value in body.headers if name == b"authorization"]
    return (query, keys) if query or keys else ()
