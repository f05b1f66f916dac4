"""Which headers of HTTP pass between a caller and a backend, and which stay on their own side.

Both ways have a list: what is not on it stays. A backend's `Set-Cookie`, its policies and its
permissions for other sites would become oq's own, since they would come from oq's address; a
caller's credentials are for oq, not for the backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

UP = frozenset({
    b"accept", b"baggage", b"content-encoding", b"content-type", b"range", b"traceparent",
    b"tracestate", b"x-request-id",
})  # fmt: skip
"""What a backend gets of its caller's headers, beside its own `api_key`."""

_UP_WITH_CALLS = UP | {
    b"anthropic-beta", b"anthropic-version", b"openai-beta", b"session-id", b"thread-id",
    b"x-client-request-id", b"x-session-affinity", b"x-session-id",
}  # fmt: skip
"""The same of a call: what else changes the answer, or says which conversation it belongs to."""

DOWN = frozenset({
    b"accept-ranges", b"allow", b"content-disposition", b"content-encoding", b"content-length",
    b"content-range",
    b"content-type", b"etag", b"last-modified", b"location", b"openai-model",
    b"openai-processing-ms", b"openai-version", b"request-id", b"retry-after",
    b"retry-after-ms", b"x-request-id", b"x-should-retry",
})  # fmt: skip
"""What a caller gets of the backend's headers."""

LOCATION = b"location"
_OWN_PATH = re.compile(rb"/(?![/\\])[!-~]*")
"""To another path, as Ollama sends it; another server is not a backend's to name. Browsers drop
tabs: there must be none before a second slash. Which paths, who has them decides
(`oq.http.gateway.locations`).
"""
_PRODUCT = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?")
_DOWN_FAMILIES = (b"ratelimit-", b"x-ratelimit-", b"anthropic-ratelimit-")


def up(headers: Iterable[tuple[bytes, bytes]], *more: bytes) -> Headers:
    """Those that go to a backend; `more` are names that go as well."""
    return [item for item in headers if item[0].lower() in UP or item[0].lower() in more]


def up_with_call(
    headers: Iterable[tuple[bytes, bytes]], *, authorization: bool
) -> tuple[tuple[bytes, bytes], ...]:
    """Those that go to a backend with a call, with their names in lower case. Of the name of its
    caller's program the product goes, and `authorization` says whether the caller's key does: the
    first, as a caller has one (RFC 9110, 11.6.2).
    """
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        name = name.lower()
        if name == b"authorization":
            if authorization:
                kept.append((name, value))
            authorization = False
        elif name in _UP_WITH_CALLS:
            kept.append((name, value))
        elif name == b"user-agent" and (product := _PRODUCT.match(value)):
            kept.append((name, product[0]))
    return tuple(kept)


def down(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Those that go to a caller, with their names in lower case."""
    lower = [(name.lower(), value) for name, value in headers]
    return [item for item in lower if _goes_down(*item)]


def _goes_down(name: bytes, value: bytes) -> bool:
    if name == LOCATION:
        return bool(_OWN_PATH.fullmatch(value))
    return name in DOWN or name.startswith(_DOWN_FAMILIES)
