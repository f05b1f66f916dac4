"""Who may talk to this server, decided before anything else looks at a request.

A page on another site must not be able to reach a queue on somebody's own machine. Two ways lead
there. Cross-site requests: the browser says by `Origin` and `Sec-Fetch-Site` where they come from.
DNS rebinding: the page's own name is made to point here, so that the browser sees no crossing;
then the `Host` header carries that name. Programs that are not browsers send no `Origin`.

Drop-in calls, which are those of the dialects' clients, are open to the pages that Ollama
lets in by default: pages of this machine, and those of desktop programs. oq's own API, which
changes the queue and shows everybody's prompts, is not. The rules are those of `GenerateRoutes`
and `allowedHost` in https://github.com/ollama/ollama/blob/main/server/routes.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from oq.http.host_names import HostNames
from oq.words.config import Config
from oq.words.origins import matcher

Headers = list[tuple[bytes, bytes]]
IsDropIn = Callable[[str, str], bool]
"""Whether a method and a path, decoded, are those of a drop-in call."""

LOCAL_PAGES = (
    *(
        f"{scheme}://{name}{port}"
        for name in ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - a name, not an address
        for scheme in ("http", "https")
        for port in ("", ":*")
    ),
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
)
"""The origins that may make drop-in calls whatever the settings: those that Ollama lets in."""

SECURE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
]
"""On every answer. Those below are for answers that do not bring their own, as the page does: what
comes from a backend cannot (`oq.rules.headers`). `sandbox` takes its origin from whatever a browser
makes a page of.
"""
UNLESS_SET: Headers = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cache-control", b"no-store"),
]
_ASKED = b"access-control-request-"
_EXPOSED = b"Location, Link, Retry-After, X-OQ-Task-ID, X-OQ-Queue-Position, X-OQ-Left-Out"
_OWN_HEADERS = (
    b"Content-Type, Idempotency-Key, Last-Event-ID, X-OQ-Priority, X-OQ-Session, X-OQ-Tenant,"
    b" X-OQ-Timeout, X-OQ-Detach"
)
_OLLAMA_HEADERS = (
    b"Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    b"X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,"
    b"X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,"
    b"X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
"""What Ollama lets pages send, letter for letter."""
_IN_OLLAMA = frozenset(_OLLAMA_HEADERS.lower().split(b","))
_ONCE = (b"host", b"origin", b"sec-fetch-site")
"""Headers that decide: two of one would be read differently by two programs."""


class Verdict(NamedTuple):
    """`refusal` says why the request is not answered, and `status` is that of the answer which
    tells so; None lets it through.

    `origin` is the other site that it comes from, if pages from there may read the answer.
    `drop_in`: what pages from there want to make is a drop-in call.
    """

    refusal: str | None = None
    origin: bytes | None = None
    drop_in: bool = False
    status: int = 403


_WELCOME = Verdict()


class Guard:
    """The rules of `server.host`, `server.allowed_hosts`, `server.allowed_origins` and
    `gateway.allowed_origins`.
    """

    def __init__(self, config: Config, is_drop_in: IsDropIn) -> None:
        own, calls = config.server.allowed_origins, config.gateway.allowed_origins
        self._is_drop_in = is_drop_in
        # The same few clients come again and again.
        self._host_allowed = lru_cache(maxsize=256)(HostNames(config.server).allow)
        self._own_pages = lru_cache(maxsize=256)(matcher(own))
        self._call_pages = lru_cache(maxsize=256)(matcher((*LOCAL_PAGES, *own, *calls)))

    def judge(self, scope: Any, headers: Mapping[bytes, bytes]) -> Verdict:
        """Whether an ASGI request (HTTP or WebSocket) with these headers may be answered."""
        given = scope.get("headers", ())
        if len(given) != len(headers) and (name := _given_twice(given)) is not None:
            return Verdict(f"the request has more than one header {name.decode()}")
        host = headers.get(b"host", b"")
        # HTTP/1.0 may leave Host out; no browser does.
        if host and not (known := self._host_allowed(host.decode("latin-1"))):
            if known is None:  # RFC 9112, 3.2
                return Verdict(f"{_shown(host)} in the Host header names no host", status=400)
            return Verdict(
                f"this server does not answer to the name {_shown(host)} in the Host header;"
                " add it to server.allowed_hosts if it should"
            )
        if origin := headers.get(b"origin"):
            if _is_here(origin, host):
                return _WELCOME
            return self._judge_page(origin, _wanted_method(scope, headers), scope["path"])
        site = headers.get(b"sec-fetch-site")
        if site in (b"cross-site", b"same-site") and not _is_navigation(scope, headers):
            return Verdict("a page of another site may not call this server")
        return _WELCOME

    def _judge_page(self, origin: bytes, method: str, path: str) -> Verdict:
        drop_in = self._is_drop_in(method, path)
        allowed = self._call_pages if drop_in else self._own_pages
        if allowed(origin.decode("latin-1")):
            return Verdict(origin=origin, drop_in=drop_in)
        where = "gateway.allowed_origins" if drop_in else "server.allowed_origins"
        return Verdict(
            f"pages of {_shown(origin)} may not call this server;"
            f" add the origin to {where} if they should"
        )


def secure(headers: Iterable[tuple[bytes, bytes]], origin: bytes | None) -> Headers:
    """An answer's headers with those that keep browsers from misusing it.

    `origin` is an allowed page of another site: its scripts may read the answer.
    """
    result = [*headers, *SECURE]
    names = {name.lower() for name, _ in result}
    result += [item for item in UNLESS_SET if item[0] not in names]
    if origin is not None:
        result += [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]
    return result


def preflight(scope: Any, headers: Mapping[bytes, bytes], verdict: Verdict) -> Headers | None:
    """The headers that answer a browser's question whether an allowed page may send a request;
    None if the request is not such a question.
    """
    if scope["type"] != "http" or scope["method"] != "OPTIONS" or verdict.origin is None:
        return None
    asked = headers.get(_ASKED + b"headers", b"")
    if verdict.drop_in:  # as Ollama answers it, which takes every OPTIONS of a page for one
        return [
            (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
            (b"access-control-allow-headers", _with_asked(asked)),
            (b"access-control-max-age", b"43200"),
            (b"vary", b"Access-Control-Request-Method"),
            (b"vary", b"Access-Control-Request-Headers"),
        ]
    if _ASKED + b"method" not in headers:
        return None
    return [
        (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
        # Clients of OpenAI's send a dozen of their own, and headers are nothing that is guarded.
        (b"access-control-allow-headers", asked or _OWN_HEADERS),
        (b"access-control-max-age", b"600"),
    ]


def _with_asked(asked: bytes) -> bytes:
    """Ollama's list, and behind it what the page asks for beside: other servers that take these
    calls let every header in.
    """
    names = (name.strip() for name in asked.split(b","))
    more = [name for name in names if name and name.lower() not in _IN_OLLAMA]
    return b",".join([_OLLAMA_HEADERS, *more])


def _wanted_method(scope: Any, headers: Mapping[bytes, bytes]) -> str:
    """The method of the request, or the one that a page asks about before it sends its request."""
    method: str = scope.get("method", "GET")
    if method == "OPTIONS" and (asked := headers.get(_ASKED + b"method")):
        return asked.decode("latin-1")
    return "" if scope["type"] == "websocket" else method


def _given_twice(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The first of the headers that decide that is there more than once."""
    names = [name.lower() for name, _ in headers]
    return next((name for name in _ONCE if names.count(name) > 1), None)


def _is_here(origin: bytes, host: bytes) -> bool:
    """Whether the page comes from this server, by the name that its request has for it."""
    scheme, _, authority = origin.lower().partition(b"://")
    return scheme in (b"http", b"https") and authority == host.lower() != b""


def _is_navigation(scope: Any, headers: Mapping[bytes, bytes]) -> bool:
    """A link that was followed: it shows a page to a person, and no script can read it."""
    mode = headers.get(b"sec-fetch-mode")
    return mode == b"navigate" and scope["type"] == "http" and scope["method"] in ("GET", "HEAD")


def _shown(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))
