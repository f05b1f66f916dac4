"""Who may talk to this server, decided before anything else looks at a request.

A page on another site must not be able to reach a queue on somebody's own machine. Two ways lead
there. Cross-site requests: the browser says by `Origin` and `Sec-Fetch-Site` where they come from.
DNS rebinding: the page's own name is made to point here, so that the browser sees no crossing;
then the `Host` header carries that name. Programs that are not browsers send no `Origin`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

from oq.words.config import ServerConfig

ANY = "*"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Headers = list[tuple[bytes, bytes]]

SECURE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
]
"""On every answer. Those below are for answers that do not bring their own, as the page does: what
comes from a backend cannot (`oq.rules.headers`). `sandbox` takes its origin from whatever a browser
makes a page of.
"""
_UNLESS_SET: Headers = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cache-control", b"no-store"),
]
_TAKEN = b"Content-Type, Idempotency-Key, Last-Event-ID, X-OQ-Priority, X-OQ-Timeout, X-OQ-Detach"
_ASKED = b"access-control-request-"
_EXPOSED = b"Location, Link, Retry-After, X-OQ-Task-ID, X-OQ-Queue-Position"


class Verdict(NamedTuple):
    """`refusal` says why the request is not answered; None lets it through.

    `origin` is the other site that it comes from, when `server.allowed_origins` has it.
    """

    refusal: str | None = None
    origin: bytes | None = None


_WELCOME = Verdict()


class Guard:
    """The rules of `server.host`, `server.allowed_hosts` and `server.allowed_origins`."""

    def __init__(self, server: ServerConfig) -> None:
        self._names = _own_names(server)
        self._any_host = ANY in server.allowed_hosts
        bound = _address(server.host)
        # No name that somebody else owns can be an address: it cannot be made to point here.
        self._any_address = not server.host or (bound is not None and bound.is_unspecified)
        self._origins = frozenset(one.lower().rstrip("/") for one in server.allowed_origins)
        # The same few clients come again and again.
        self._host_allowed = lru_cache(maxsize=256)(self._check_host)
        self._origin_allowed = lru_cache(maxsize=256)(self._check_origin)

    def judge(self, scope: Any, headers: Mapping[bytes, bytes]) -> Verdict:
        """Whether an ASGI request (HTTP or WebSocket) with these headers may be answered."""
        host = headers.get(b"host", b"")
        # HTTP/1.0 may leave Host out; no browser does.
        if host and not self._host_allowed(host):
            return Verdict(
                f"this server does not answer to the name {_shown(host)} in the Host header;"
                " add it to server.allowed_hosts if it should"
            )
        if origin := headers.get(b"origin"):
            if not self._origin_allowed(origin, host):
                return Verdict(
                    f"pages of {_shown(origin)} may not call this server;"
                    " add the origin to server.allowed_origins if they should"
                )
            if _authority(origin) != host.lower():
                return Verdict(origin=origin)
        elif headers.get(b"sec-fetch-site") == b"cross-site" and not _is_navigation(scope, headers):
            return Verdict("a page of another site may not call this server")
        return _WELCOME

    def _check_host(self, host: bytes) -> bool:
        if self._any_host:
            return True
        name = host_name(host.decode("latin-1"))
        return name in self._names or (self._any_address and _address(name) is not None)

    def _check_origin(self, origin: bytes, host: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        return text in self._origins or ANY in self._origins or _authority(origin) == host.lower()


def host_name(host: str) -> str:
    """The name in a Host header, without port, brackets and a final dot."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    if host.count(":") > 1:
        return host.lower()
    return host.partition(":")[0].rstrip(".").lower()


def secure(headers: Iterable[tuple[bytes, bytes]], origin: bytes | None) -> Headers:
    """An answer's headers with those that keep browsers from misusing it.

    `origin` is an allowed page of another site: its scripts may read the answer.
    """
    result = [*headers, *SECURE]
    names = {name.lower() for name, _ in result}
    result += [item for item in _UNLESS_SET if item[0] not in names]
    if origin is not None:
        result += [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]
    return result


def preflight(scope: Any, headers: Mapping[bytes, bytes], origin: bytes | None) -> Headers | None:
    """The headers that answer a browser's question whether an allowed page may send a request;
    None if the request is not such a question.
    """
    if scope["type"] != "http" or scope["method"] != "OPTIONS" or origin is None:
        return None
    if _ASKED + b"method" not in headers:
        return None
    return [
        (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
        # Clients of OpenAI's send a dozen of their own, and headers are nothing that is guarded.
        (b"access-control-allow-headers", headers.get(_ASKED + b"headers", _TAKEN)),
        (b"access-control-max-age", b"600"),
    ]


def _own_names(server: ServerConfig) -> frozenset[str]:
    """Those of the address that it listens on, and `server.allowed_hosts` besides."""
    names = {host_name(name) for name in (*server.allowed_hosts, server.host)} - {""}
    bound = _address(server.host)
    everywhere = not server.host or (bound is not None and bound.is_unspecified)
    here = server.host == "localhost" or (bound is not None and bound.is_loopback)
    if here or everywhere:
        names |= _LOOPBACK
    if not here:
        names.add(socket.gethostname().lower())
    return frozenset(names)


def _address(name: str) -> Any:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _authority(origin: bytes) -> bytes:
    return origin.partition(b"://")[2].lower()


def _is_navigation(scope: Any, headers: Mapping[bytes, bytes]) -> bool:
    """A link that was followed: it shows a page to a person, and no script can read it."""
    mode = headers.get(b"sec-fetch-mode")
    return mode == b"navigate" and scope["type"] == "http" and scope["method"] in ("GET", "HEAD")


def _shown(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))
